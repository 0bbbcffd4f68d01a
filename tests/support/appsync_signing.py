"""Credentials of signing clients, made by botocore: a signer that is none of ours."""

import json
from typing import NamedTuple

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


class Vector(NamedTuple):
    """A request that the real Amplify client has signed, for localhost:18443."""

    body: bytes
    signature: str
    headers: dict[str, str] = REALTIME_HEADERS
    date: str = "20261123T142921Z"


SIGNED_BY_AMPLIFY = {
    "connect": Vector(b"{}", "70514851fb4c46b1742946349e8052293e9b076ddacaf62274878e6d653db1e5"),
    "subscribe": Vector(
        b'{"channel":"default/room1"}',
        "86532d1d1df198731777de17b9656bb4e575f96d9de7e3b38981425874a7be6a",
    ),
    "publish": Vector(
        '{"channel":"default/room1","events":["{\\"a\\":1}","{\\"b\\":\\"<x>&é\\"}"]}'.encode(),
        "48ff821738b68c2c52e3a359d37a93faa2909c394d884c5858de2f1a78f518d5",
    ),
    "http": Vector(
        b'{"channel":"/default/room1","events":["{\\"p\\":1}","{\\"p\\":2}"]}',
        "68ef8f7aff9b395f044c9c45dfef959482ab9641621635872b0fd1e11d69c894",
        {
            "content-type": REALTIME_HEADERS["content-type"],
            "x-amz-user-agent": "aws-amplify/6.22.1 framework/100",
        },
        "20261123T142922Z",
    ),
}
"""By step, with the user AKIDEXAMPLE, whose session token is TOK."""


def sign(
    body,
    *,
    host="localhost:18443",
    access_key="AKIDEXAMPLE",
    secret=SECRET,
    token=None,
    region="us-east-1",
    service="appsync",
    path="/event",
    headers=REALTIME_HEADERS,
):
    """Return the authorization object of one operation, whose body these bytes are."""
    request = AWSRequest("POST", f"https://{host}{path}", headers=headers, data=body)
    SigV4Auth(Credentials(access_key, secret, token), service, region).add_auth(request)
    return {**dict(request.headers), "host": host}


def signed(emulator, text, **how):
    """Return the authorization object of one operation on an emulator."""
    return sign(text.encode(), **{"host": f"localhost:{emulator.port}", **how})


def compact(body):
    """Return JSON as clients sign it: no spaces, nothing escaped that need not be."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def signed_subscribe(emulator, channel, **how):
    return signed(emulator, compact({"channel": channel}), **how)


def signed_publish(emulator, channel, *events, **how):
    """Return the authorization of a publish on a socket; events are JSON texts."""
    return signed(emulator, compact({"channel": channel, "events": events}), **how)
