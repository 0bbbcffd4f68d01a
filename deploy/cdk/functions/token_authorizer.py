"""Authorises clients of the APIs by the token that this stack keeps as a secret.

Source: docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth (Lambda authorization)
and docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.
"""

import hmac
import os
from functools import lru_cache
from typing import Any

import botocore.session


@lru_cache(maxsize=1)
def token() -> str:
    """Return the token, read once for each environment of the function."""
    secrets = botocore.session.get_session().create_client("secretsmanager")
    text: str = secrets.get_secret_value(SecretId=os.environ["TOKEN_SECRET"])["SecretString"]
    return text


def _is_right(given: str) -> bool:
    return hmac.compare_digest(given.encode(), token().encode())


def authorize_events(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer AppSync: may the holder of this token do what it asks for?"""
    return {"isAuthorized": _is_right(event.get("authorizationToken") or "")}


def authorize_connect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer API Gateway: a policy that allows, or denies, this connection and no other call."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    effect = "Allow" if _is_right(headers.get("authorization", "")) else "Deny"
    statement = {
        "Action": "execute-api:Invoke",
        "Effect": effect,
        "Resource": event["methodArn"],
    }
    return {
        "principalId": "harness",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
    }
