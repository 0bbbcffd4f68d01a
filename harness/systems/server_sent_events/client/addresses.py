"""Where streams are, and the requests for them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.net.addresses import host_header, origin, path_of, with_channels
from harness.net.client import Access
from harness.net.http_stream import ResponseHead
from harness.net.request_fields import OWN_HEADERS, RequestFields, bearer
from harness.net.route import Route
from harness.systems.server_sent_events import wire

_STREAM_HEADERS = {"Accept": wire.CONTENT_TYPE, "Cache-Control": "no-store"}


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

    Attributes:
        cookies: Those of the users.

    Raises:
        TargetUnreachableError: If its host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        fields = RequestFields(access.realtime, access.options)
        self._realtime = fields.address
        self._separator = access.options.channel_separator
        self._headers = fields.headers({**_STREAM_HEADERS, **bearer(access.api_key)})
        self.cookies = fields.cookies
        self._places: dict[tuple[str, str, int], Place] = {}
        self.place_of(self._realtime)

    def of_stream(self, channels: Sequence[str]) -> str:
        """Return the address of the one stream that carries these channels."""
        return with_channels(self._realtime, channels, self._separator)

    def place_of(self, address: str) -> Place:
        """Return where to connect for an address; the same for all addresses of a host.

        Raises:
            TargetUnreachableError: If the host name does not resolve.
        """
        key = origin(address)
        if key not in self._places:
            is_ours = not self._places
            # What the target says of certificates is for its own host.
            route = Route(self._access if is_ours else replace(self._access, tls=None), address)
            self._places[key] = Place(route, host_header(address), is_ours=is_ours)
        return self._places[key]

    def request(self, address: str, user: object, last_event_id: bytes) -> bytes:
        """Return a user's request for a stream, from an event on where one is given.

        What the target lets clients send besides goes to its own host only.
        """
        place = self.place_of(address)
        headers = self._headers if place.is_ours else {**OWN_HEADERS, **_STREAM_HEADERS}
        lines = [f"GET {path_of(address)} HTTP/1.1", f"Host: {place.host_header}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, ""]).encode()
        head += self.cookies.line(user, address, is_ours=place.is_ours)
        if last_event_id:
            head += wire.LAST_EVENT_ID_HEADER.encode() + b": " + last_event_id + b"\r\n"
        return head + b"\r\n"

    def take_cookies(self, address: str, user: object, answer: ResponseHead) -> None:
        """Keep the cookies that an answer from an address sets for a user."""
        self.cookies.take(user, answer.set_cookies, address)
