"""What all users of one worker share who poll a service: addresses, timer, requests and answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.core.message_token import as_json
from harness.net.addresses import path_of, with_channels
from harness.net.client import Access
from harness.net.http_publishing import HttpPublisher
from harness.net.request_fields import RequestFields, bearer
from harness.net.route import Route
from harness.systems.polling import wire
from harness.systems.polling.client.answers import KnownAnswers
from harness.systems.polling.client.timing import PollClock

if TYPE_CHECKING:
    from harness.systems.polling.options import ClientOptions

MOST_REQUESTS = 4096
"""Heads of requests kept ready: users at the same place send the same bytes."""


class PolledService:
    """One service as a worker uses it: addresses resolved, once for all users.

    A key is sent as a bearer token.

    Args:
        access: Addresses, both with ``{channel}`` where the channel belongs, and the options.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        fields = RequestFields(access.realtime, access.options)
        parts = urlsplit(fields.address)
        self.options: ClientOptions = access.options
        self.route = Route(access, access.realtime)
        self.clock = PollClock()
        self.publisher = HttpPublisher(
            access, lambda _channel, message: as_json(message), cookies=fields.cookies
        )
        self.answers = KnownAnswers(_layout(self.options))
        self._cookies = fields.cookies
        self._cookie_line = fields.cookies.line(None)
        self._cookie_lines: dict[object, bytes] = {}
        """Of users for whom the service has set cookies; made when it sets them."""
        self._address = fields.address
        own = {"Accept": "application/json", **bearer(access.api_key)}
        headers = {"Host": parts.netloc, **fields.headers(own)}
        if not self.options.reuse_connections:
            headers["Connection"] = "close"
        self._headers = [f"{name}: {value}" for name, value in headers.items()]
        self._heads: dict[tuple[tuple[str, ...], wire.Place], bytes] = {}

    def request(self, channels: tuple[str, ...], place: wire.Place, user: object) -> bytes:
        """Return the poll of a user at this place of its channels."""
        head = self._heads.get((channels, place))
        if head is None:
            path = path_of(self._address_of(channels))
            path = wire.with_cursor(path, self.options.cursor_parameter, place.cursor)
            if len(self._heads) >= MOST_REQUESTS:
                self._heads.clear()
            head = self._heads[channels, place] = wire.head(path, place, self._headers)
        return b"%b%b\r\n" % (head, self._cookie_lines.get(user, self._cookie_line))

    def take_cookies(
        self, channels: tuple[str, ...], user: object, set_cookies: Sequence[str]
    ) -> None:
        """Keep the cookies that the answer to a poll of a user sets."""
        address = self._address_of(channels)
        self._cookies.take(user, set_cookies, address)
        self._cookie_lines[user] = self._cookies.line(user, address)

    def _address_of(self, channels: tuple[str, ...]) -> str:
        return with_channels(self._address, channels, self.options.channel_separator)


def _layout(options: "ClientOptions") -> wire.Layout | None:
    """Return where in an answer is what; None where it is one message and nothing else."""
    if options.answer == "message":
        return None
    return wire.Layout(options.messages_path, options.cursor_path, options.interval_path)
