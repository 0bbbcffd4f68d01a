"""The client settings of a target, ready for use: headers, bodies, addresses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.secrets import secret_variable
from harness.net.addresses import path_of, with_channels
from harness.net.client import Access
from harness.net.route import Route
from harness.systems.server_sent_events import wire

_MARK = re.compile(rb"\{(message|message:string|envelope|envelope_text|channel)\}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``[client]`` table of one target, with the secrets that the environment holds.

    Attributes:
        headers: Further request headers, cookies included.
        event_types: Names of the events that carry messages; empty for all.
        publish_body: Template of a publish's body.
        publish_content_type: Its content type.
        stalled_after_s: Silence after which a client gives up; None for never.
        channel_separator: Stands in an address between the channels of one stream.
        stall_limit_s: Silence that counts as an error where no client gives up; None for none.
    """

    headers: Mapping[str, str]
    event_types: frozenset[str] = frozenset()
    publish_body: str = "{message}"
    publish_content_type: str = "application/json"
    stalled_after_s: float | None = None
    channel_separator: str = ","
    stall_limit_s: float | None = None

    def __repr__(self) -> str:
        return f"Settings({len(self.headers)} headers)"  # They hold secrets.

    def body(self, channel: str, message: bytes) -> bytes:
        """Return the body that publishes a message."""
        text = orjson.dumps(message.decode())
        values = {b"message": message, b"message:string": text, b"channel": orjson.dumps(channel)}
        values |= {b"envelope": message, b"envelope_text": text}  # Of earlier versions.
        return _MARK.sub(lambda mark: values[mark[1]], self.publish_body.encode())


def settings_of(options: Any, api_key: str) -> Settings:
    """Return the settings of a target, with secrets read from the environment now.

    Args:
        options: Its ``[client]`` table; None where it has none.
        api_key: Sent as a bearer token unless empty.

    Raises:
        ScenarioError: If a variable that the table names is not set, or holds control characters.
    """
    bearer = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    if options is None:
        return Settings(bearer)
    cookies = {**options.cookies, **_secrets("cookies_env", options.cookies_env)}
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return Settings(
        headers={
            **bearer,
            **options.headers,
            **_secrets("headers_env", options.headers_env),
            **({"Cookie": cookie} if cookie else {}),
        },
        event_types=frozenset(options.event_types),
        publish_body=options.publish_body,
        publish_content_type=options.publish_content_type,
        stalled_after_s=options.stalled_after_s,
        channel_separator=options.channel_separator,
        stall_limit_s=options.stall_limit_s,
    )


def _secrets(key: str, variables: Mapping[str, str]) -> dict[str, str]:
    secrets = {name: secret_variable(variable) for name, variable in variables.items()}
    missing = [variables[name] for name, secret in secrets.items() if not secret]
    if missing:
        raise ScenarioError(
            [
                ScenarioProblem(
                    file="target",
                    key=f"client.{key}",
                    found=f"{name}, which is not set",
                    rule="must name an environment variable that is set",
                    hint=f"export {name}=… before the run",
                )
                for name in missing
            ]
        )
    return secrets


_HEAD_END = b"\r\n\r\n"


class Place(NamedTuple):
    """A host that streams come from.

    Attributes:
        route: How to get there.
        host_header: What requests call it.
        is_ours: Whether it is the target's own, and not one that it redirects to.
    """

    route: Route
    host_header: str
    is_ours: bool


class Addresses:
    """The address of streams, and those that it redirects to.

    Args:
        access: Its ``realtime`` has ``{channel}`` where the channel belongs.
        headers: Further request headers, for its own host only.
        separator: Stands between the channels of one stream.

    Raises:
        TargetUnreachableError: If its host name does not resolve.
    """

    def __init__(self, access: Access, headers: Mapping[str, str], separator: str) -> None:
        self._access = access
        self._separator = separator
        self._headers = headers
        self._places: dict[tuple[str, str], Place] = {}
        self.place_of(access.realtime)

    def of_stream(self, channels: Sequence[str]) -> str:
        """Return the address of the one stream that carries these channels."""
        return with_channels(self._access.realtime, channels, self._separator)

    def place_of(self, address: str) -> Place:
        """Return where to connect for an address; the same for all addresses of a host.

        Raises:
            TargetUnreachableError: If the host name does not resolve.
        """
        parts = urlsplit(address)
        key = parts.scheme, parts.netloc
        if key not in self._places:
            is_ours = not self._places
            # What the target says of certificates is for its own host.
            route = Route(self._access if is_ours else replace(self._access, tls=None), address)
            self._places[key] = Place(route, parts.netloc.rpartition("@")[2], is_ours=is_ours)
        return self._places[key]

    def request(self, address: str, last_event_id: bytes) -> bytes:
        """Return the request for a stream, from an event on where one is given.

        What the target lets clients send besides goes to its own host only.
        """
        place = self.place_of(address)
        headers = {
            "Host": place.host_header,
            "Accept": wire.CONTENT_TYPE,
            "Cache-Control": "no-store",
            **(self._headers if place.is_ours else {}),
        }
        lines = [f"GET {path_of(address)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode()
        if last_event_id:
            head += b"\r\n" + wire.LAST_EVENT_ID_HEADER.encode() + b": " + last_event_id
        return head + _HEAD_END
