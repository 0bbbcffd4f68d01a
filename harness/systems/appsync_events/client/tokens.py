"""Tokens that users of AppSync Events show: where they come from, and how they are kept fresh.

A token that says when it expires, as JSON Web Tokens do, is replaced before that by a greenlet of
its own, so that a publish, which may be sent from an I/O callback, never waits for one.
"""

import base64
import binascii
import logging
import math
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gevent
import orjson
from gevent.lock import Semaphore
from gevent.pool import Pool

from harness.core.errors import HarnessError, ScenarioError
from harness.core.exit_codes import ExitCode
from harness.core.secrets import clean_secret
from harness.systems.appsync_events import wire

COMMAND_WITHIN_S = 30.0
LOOK_EVERY_S = 0.25
RENEW_AHEAD_S = 300.0
"""A token is replaced this long before it expires; a short-lived one in its last third."""

RENEWALS_AT_A_TIME = 8
TRY_AGAIN_S = 5.0
"""Rest after a token could not be replaced; until then the old one is shown."""

LOGGER = logging.getLogger(__name__)


class CredentialsError(HarnessError):
    """Credentials cannot be had; quotes none of them."""

    exit_code = ExitCode.BAD_USAGE


class TokenSource(Protocol):
    """Where the tokens of some identities come from."""

    def __len__(self) -> int:
        """Return how many identities there are; at least one."""

    def fetch(self, identity: int) -> str:
        """Return a token that is valid now, in the calling greenlet; raises CredentialsError."""


class _Held(NamedTuple):
    """What an identity shows, and when it should be replaced; seconds since 1970."""

    authorization: wire.Authorization
    renew_at_s: float
    expires_s: float


class TokenCredentials:
    """Users with tokens: user k is identity k, from the first again where there are more users."""

    def __init__(self, host: str, source: TokenSource) -> None:
        self._host = host
        self._source = source
        self._held: dict[int, _Held] = {}
        self._locks: defaultdict[int, Semaphore] = defaultdict(Semaphore)
        self._turn = 0
        self._keeper = gevent.spawn(self._keep_fresh)

    def ready(self, user: int) -> None:
        """Wait until a user has a token; raises CredentialsError."""
        identity = user % len(self._source)
        # Users who share an identity wait for one of them to fetch its token.
        with self._locks[identity]:
            held = self._held.get(identity)
            if held is None or time.time() >= held.expires_s:
                self._fetch(identity)

    def authorization(self, user: int, _body: bytes, *, reusable: bool) -> wire.Authorization:  # noqa: ARG002 - a token signs nothing
        """Return a user's token with the host, at once."""
        return self._held[user % len(self._source)].authorization

    def headers(self, _body: bytes) -> dict[str, str]:
        """Return the header of a publish over HTTP; the identities in use take turns."""
        if not self._held:
            self.ready(0)
        identities = list(self._held)
        self._turn += 1
        shown = self._held[identities[self._turn % len(identities)]].authorization
        return {"Authorization": shown["Authorization"]}

    def close(self) -> None:
        """Replace no more tokens."""
        self._keeper.kill(block=False)

    def _fetch(self, identity: int) -> None:
        token = self._source.fetch(identity)
        now_s, expires_s = time.time(), expires_at_s(token)
        if expires_s <= now_s:
            raise CredentialsError(
                "[auth]",
                f"the token of identity {identity} has expired",
                "a token must be valid when it is shown",
                "have its source give a new one",
            )
        renew_at_s = expires_s - min(RENEW_AHEAD_S, (expires_s - now_s) / 3)
        shown = {"host": self._host, "Authorization": token}
        self._held[identity] = _Held(shown, renew_at_s, expires_s)

    def _keep_fresh(self) -> None:
        """Replace what is about to expire; a greenlet's body."""
        pool = Pool(RENEWALS_AT_A_TIME)
        while True:
            gevent.sleep(LOOK_EVERY_S)
            now_s = time.time()
            due = [one for one, held in self._held.items() if now_s >= held.renew_at_s]
            pool.map(self._renew, due)

    def _renew(self, identity: int) -> None:
        try:
            self._fetch(identity)
        except CredentialsError as error:
            LOGGER.warning("%s; the old one is shown for now", error)
            self._held[identity] = self._held[identity]._replace(
                renew_at_s=time.time() + TRY_AGAIN_S
            )


class ListedTokens:
    """Tokens that a variable, a file or a command gives, one a line.

    Args:
        read: Returns the lines; called again when one of its tokens is about to expire.

    Raises:
        CredentialsError: If it gives no token.
    """

    def __init__(self, where: str, read: Callable[[], str]) -> None:
        self._where = where
        self._read = read
        self._lock = Semaphore()
        self._lines = self._fresh()
        self._given: set[int] = set()

    def __len__(self) -> int:
        return len(self._lines)

    def fetch(self, identity: int) -> str:
        """Return an identity's token; all are read anew where it asks again, or came too late."""
        with self._lock:
            has_expired = self._read_s < expires_at_s(self._lines[identity]) <= time.time()
            if has_expired or identity in self._given:
                lines = self._fresh()
                if len(lines) != len(self._lines):
                    found = f"gave {len(lines)} tokens after {len(self._lines)}"
                    raise CredentialsError(self._where, found, "their number must not change")
                self._lines, self._given = lines, set()
            self._given.add(identity)
            return self._lines[identity]

    def _fresh(self) -> list[str]:
        try:
            lines = [clean_secret(self._where, line) for line in self._read().splitlines()]
        except ScenarioError as error:
            found, rule = error.problems[0].found, error.problems[0].rule
            raise CredentialsError(self._where, f"gave a token with {found}", rule) from None
        if not any(lines):
            raise CredentialsError(self._where, "gave no token", "one a line is required")
        self._read_s = time.time()
        return [line for line in lines if line]


def listed_tokens(auth: Any) -> ListedTokens:
    """Return the tokens that an ``[auth]`` table says to read; raises CredentialsError."""
    if auth.token_env:
        return ListedTokens("auth.token_env", lambda: os.environ.get(auth.token_env, ""))
    if auth.token_file:
        return ListedTokens(
            "auth.token_file", lambda: read_text("auth.token_file", auth.token_file)
        )
    return ListedTokens("auth.token_command", lambda: _printed_by(auth.token_command))


def read_text(where: str, file: str) -> str:
    """Return what is in a file that the target names; raises CredentialsError."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "no text"
        found = f"{file} cannot be read ({said})"
        raise CredentialsError(where, found, "a text file is required") from None


def _printed_by(command: Sequence[str]) -> str:
    """Return what a command prints; neither that nor its arguments go into an error."""
    where, rule = "auth.token_command", "it must print tokens, one a line"
    try:
        ended = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=COMMAND_WITHIN_S,
            check=False,
        )
    except OSError as error:
        raise CredentialsError(where, f"{command[0]}: {error.strerror}", rule) from None
    except subprocess.TimeoutExpired:
        found = f"{command[0]} did not end within {COMMAND_WITHIN_S:g} s"
        raise CredentialsError(where, found, rule) from None
    if ended.returncode:
        found = f"{command[0]} ended with exit code {ended.returncode}"
        raise CredentialsError(where, found, rule)
    return ended.stdout.decode("utf-8", "replace")


def expires_at_s(token: str) -> float:
    """Return when a token says that it expires, seconds since 1970; infinity where it does not.

    Only read, never verified: that is the service's part. Source: RFC 7519, section 4.1.4.
    """
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature.
        return math.inf
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return math.inf
    expires_s = claims.get("exp") if isinstance(claims, dict) else None
    return expires_s if isinstance(expires_s, int | float) else math.inf
