"""A user pool that moto plays, with test users: ``python user_pool.py SETTINGS``.

Settings, as JSON: ``users``, ``password``, ``lifetime_s`` of tokens, ``generate_secret`` of the app
client. Prints where it answers, its ids and its public keys, as JSON; serves until its standard
input ends.
"""

import functools
import json
import sys
import urllib.request

import boto3
from moto.cognitoidp.models import CognitoIdpUserPool
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
FLOWS = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]


def make_pool(url, settings):
    """Make a pool with its app client and its users; return what is said of it."""
    keys = {"aws_access_key_id": "AKIDTEST", "aws_secret_access_key": "unchecked"}
    cognito = boto3.client("cognito-idp", region_name=REGION, endpoint_url=url, **keys)
    pool_id = cognito.create_user_pool(PoolName="chat")["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName="load",
        GenerateSecret=settings["generate_secret"],
        ExplicitAuthFlows=FLOWS,
    )["UserPoolClient"]
    for user in settings["users"]:
        cognito.admin_create_user(UserPoolId=pool_id, Username=user)
        cognito.admin_set_user_password(
            UserPoolId=pool_id, Username=user, Password=settings["password"], Permanent=True
        )
    keys_url = f"{url}/{pool_id}/.well-known/jwks.json"
    with urllib.request.urlopen(keys_url) as answer:  # noqa: S310 - Our own moto.
        jwks = json.loads(answer.read())
    return {
        "url": url,
        "issuer": f"https://cognito-idp.{REGION}.amazonaws.com/{pool_id}",
        "user_pool_id": pool_id,
        "client_id": client["ClientId"],
        "client_secret": client.get("ClientSecret", ""),
        "jwks": jwks,
    }


def main(settings):
    """Serve a pool until nobody wants it any more."""
    # Cognito gives no token less than five minutes; a test cannot wait as long.
    made = functools.partialmethod(CognitoIdpUserPool.create_jwt, expires_in=settings["lifetime_s"])
    setattr(CognitoIdpUserPool, "create_jwt", made)  # noqa: B010 - mypy: methods stay.
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(json.dumps(make_pool(f"http://{host}:{port}", settings)), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
