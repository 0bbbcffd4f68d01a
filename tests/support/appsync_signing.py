"""Credentials of signing clients, made by botocore: a signer that is none of ours."""

import json

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SECRET = "SECRET"
REALTIME_HEADERS = {
    "accept": "application/json, text/javascript",
    "content-encoding": "amz-1.0",
    "content-type": "application/json; charset=UTF-8",
}
"""What clients sign besides host and date when they connect, subscribe or publish on a socket."""


def signed(
    emulator,
    body,
    *,
    access_key="AKIDEXAMPLE",
    secret=SECRET,
    token=None,
    region="us-east-1",
    service="appsync",
    host=None,
    path="/event",
    headers=REALTIME_HEADERS,
):
    """Return the authorization object of one operation, whose text is ``body``."""
    host = host or f"localhost:{emulator.port}"
    request = AWSRequest("POST", f"https://{host}{path}", headers=headers, data=body.encode())
    SigV4Auth(Credentials(access_key, secret, token), service, region).add_auth(request)
    return {**dict(request.headers), "host": host}


def compact(body):
    """Return JSON as clients sign it: no spaces, nothing escaped that need not be."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def signed_subscribe(emulator, channel, **how):
    return signed(emulator, compact({"channel": channel}), **how)


def signed_publish(emulator, channel, *events, **how):
    """Return the authorization of a publish on a socket; events are JSON texts."""
    return signed(emulator, compact({"channel": channel, "events": events}), **how)
