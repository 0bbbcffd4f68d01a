"""Test users of a Cognito user pool, signed in by botocore, their tokens refreshed.

Source: docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference, InitiateAuth and
AdminInitiateAuth, and .../cognito/latest/developerguide/signing-up-users-in-your-app for the
secret's hash, read November 2026.
"""

import base64
import hmac
from typing import Any

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from harness.core.outside_text import register_secret
from harness.core.secrets import secret_variable
from harness.systems.appsync_events.client.sigv4 import aws_session, first_line
from harness.systems.appsync_events.client.tokens import CredentialsError, read_text

ATTEMPTS = 8
"""Of each call: a user pool accepts some 120 sign-ins a second by default, and then throttles."""

_TOKENS = {"access": "AccessToken", "id": "IdToken"}


class UserPoolTokens:
    """Signs in test users, each when it is first needed.

    Raises:
        CredentialsError: If the file names no user, or nothing says which region.
    """

    def __init__(self, auth: Any) -> None:
        lines = read_text("auth.users_file", auth.users_file).splitlines()
        names = [line.partition(",")[0].strip() for line in lines]
        self._users = [name for name in names if name]
        if not self._users:
            raise CredentialsError("auth.users_file", "names no user", "one a line is required")
        self._auth = auth
        self._refresh_tokens: dict[int, str] = {}
        admin = auth.sign_in == "admin_user_password"
        config = Config(
            signature_version=None if admin else UNSIGNED,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        session = aws_session(auth)
        try:
            self._client = session.create_client(
                "cognito-idp", region_name=auth.region, config=config
            )
        except BotoCoreError as error:
            raise CredentialsError("auth", first_line(error), "a user pool has a region") from None

    def __len__(self) -> int:
        return len(self._users)

    def fetch(self, identity: int) -> str:
        """Return a user's new token: refreshed where they are signed in, or else signed in."""
        refresh_token = self._refresh_tokens.pop(identity, None)
        try:
            if refresh_token is not None:
                try:
                    return self._refreshed(identity, refresh_token)
                except self._client.exceptions.NotAuthorizedException:
                    pass  # It has expired too, or was revoked.
            return self._signed_in(identity)
        except (BotoCoreError, ClientError) as error:
            found = f"user {self._users[identity]} is not signed in ({first_line(error)})"
            raise CredentialsError("auth", found, "each test user must sign in") from None

    def _signed_in(self, identity: int) -> str:
        user, auth = self._users[identity], self._auth
        parameters = {"USERNAME": user, "PASSWORD": secret_variable(auth.password_env)}
        parameters |= self._secret_hash(user)
        if auth.sign_in == "admin_user_password":
            answer = self._client.admin_initiate_auth(
                UserPoolId=auth.user_pool_id,
                ClientId=auth.client_id,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters=parameters,
            )
        else:
            answer = self._client.initiate_auth(
                ClientId=auth.client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters=parameters,
            )
        return self._taken(identity, answer, "")

    def _refreshed(self, identity: int, refresh_token: str) -> str:
        parameters = {"REFRESH_TOKEN": refresh_token}
        parameters |= self._secret_hash(self._users[identity])
        answer = self._client.initiate_auth(
            ClientId=self._auth.client_id,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters=parameters,
        )
        return self._taken(identity, answer, refresh_token)

    def _taken(self, identity: int, answer: dict[str, Any], refresh_token: str) -> str:
        """Return the token in an answer; the refresh token in it, or the old one, is kept."""
        result = answer.get("AuthenticationResult")
        if not result:
            found = f"user {self._users[identity]} is asked for {answer.get('ChallengeName')}"
            rule = "test users must sign in with a password alone"
            hint = "give them a permanent password: AdminSetUserPassword"
            raise CredentialsError("auth", found, rule, hint)
        if kept := result.get("RefreshToken", refresh_token):
            self._refresh_tokens[identity] = kept
            register_secret("refresh token", kept)
        token = str(result[_TOKENS[self._auth.token_use]])
        register_secret("token", token)
        return token

    def _secret_hash(self, user: str) -> dict[str, str]:
        if not self._auth.client_secret_env:
            return {}
        secret = secret_variable(self._auth.client_secret_env)
        text = (user + self._auth.client_id).encode()
        return {
            "SECRET_HASH": base64.b64encode(hmac.digest(secret.encode(), text, "sha256")).decode()
        }
