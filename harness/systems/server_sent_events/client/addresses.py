"""Where streams are, and the requests for them."""

from collections.abc import Sequence

from harness.net.addresses import path_of, with_channels
from harness.net.client import Access
from harness.net.http_stream import ResponseHead
from harness.net.request_fields import OWN_HEADERS, RequestFields, bearer
from harness.net.route import Routes
from harness.systems.server_sent_events import wire

_STREAM_HEADERS = {"Accept": wire.CONTENT_TYPE, "Cache-Control": "no-store"}


class Addresses:
    """The address of streams, and those that it redirects to.

    Args:
        access: Its ``realtime`` has ``{channel}`` where the channel belongs.

    Attributes:
        cookies: Those of the users.
        routes: How to get there.

    Raises:
        TargetUnreachableError: If its host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        fields = RequestFields(access.realtime, access.options)
        self._realtime = fields.address
        self._separator = access.options.channel_separator
        self._headers = fields.headers({**_STREAM_HEADERS, **bearer(access.api_key)})
        self.cookies = fields.cookies
        self.routes = Routes(access, self._realtime)

    def of_stream(self, channels: Sequence[str]) -> str:
        """Return the address of the one stream that carries these channels."""
        return with_channels(self._realtime, channels, self._separator)

    def request(self, address: str, user: object, last_event_id: bytes) -> bytes:
        """Return a user's request for a stream, from an event on where one is given.

        What the target lets clients send besides goes to its own host only.
        """
        is_ours, host = self.routes.is_ours(address), self.routes.to(address).host_header
        headers = self._headers if is_ours else {**OWN_HEADERS, **_STREAM_HEADERS}
        lines = [f"GET {path_of(address)} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, ""]).encode()
        head += self.cookies.line(user, address, is_ours=is_ours)
        if last_event_id:
            head += wire.LAST_EVENT_ID_HEADER.encode() + b": " + last_event_id + b"\r\n"
        return head + b"\r\n"

    def take_cookies(self, address: str, user: object, answer: ResponseHead) -> None:
        """Keep the cookies that an answer from an address sets for a user."""
        self.cookies.take(user, answer.set_cookies, address)
