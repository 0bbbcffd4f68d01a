"""What all users of one worker share who poll a service: addresses, timer, requests and answers."""

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from harness.core.message_token import as_json
from harness.net.addresses import host_header, path_of, with_channels
from harness.net.client import Access
from harness.net.http_publishing import MAX_REDIRECTS, HttpPublisher
from harness.net.redirects import NO_ADDRESS, RefusedRedirectError, redirected
from harness.net.request_fields import OWN_HEADERS, RequestFields, bearer
from harness.net.route import Route, Routes
from harness.systems.polling import wire
from harness.systems.polling.client.answers import Answer, KnownAnswers
from harness.systems.polling.client.timing import PollClock

if TYPE_CHECKING:
    from harness.systems.polling.options import ClientOptions

MOST_REQUESTS = 4096
"""Heads of requests kept ready: users at the same place send the same bytes."""

_ACCEPT = {"Accept": "application/json"}


class Hop(NamedTuple):
    """Where a poll goes.

    Attributes:
        address: Where it was redirected to; empty for the service's own address.
        host: Scheme and host of that; empty for the service's own.
        redirects: How often it was redirected.
    """

    address: str = ""
    host: str = ""
    redirects: int = 0


OWN = Hop()
"""The service's own address, where each poll begins."""


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
        self.options: ClientOptions = access.options
        self._may_connect = access.may_connect
        self._routes = Routes(access, fields.address)
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
        own = {**_ACCEPT, **bearer(access.api_key)}
        headers = {"Host": host_header(fields.address), **fields.headers(own)}
        if not self.options.reuse_connections:
            headers["Connection"] = "close"
        self._headers = [f"{name}: {value}" for name, value in headers.items()]
        self._heads: dict[tuple[tuple[str, ...], wire.Place], bytes] = {}

    def request(
        self, channels: tuple[str, ...], place: wire.Place, user: object, hop: Hop = OWN
    ) -> bytes:
        """Return the poll of a user at this place of its channels."""
        if hop is not OWN:
            return self._redirected_request(hop, place, user)
        head = self._heads.get((channels, place))
        if head is None:
            path = path_of(self._address_of(channels))
            path = wire.with_cursor(path, self.options.cursor_parameter, place.cursor)
            if len(self._heads) >= MOST_REQUESTS:
                self._heads.clear()
            head = self._heads[channels, place] = wire.head(path, place, self._headers)
        return b"%b%b\r\n" % (head, self._cookie_lines.get(user, self._cookie_line))

    def take_cookies(
        self, channels: tuple[str, ...], user: object, answer: Answer, hop: Hop
    ) -> None:
        """Keep the cookies that the answer to a poll sets for a user, and for its host."""
        address = self._address_of(channels)
        self._cookies.take(user, answer.set_cookies, hop.address or address)
        self._cookie_lines[user] = self._cookies.line(user, address)

    def route_to(self, host: str) -> Route:
        """Return the way to a hop's host, in a greenlet that may wait; raises as ``Route``."""
        return self._routes.to(host or self._address)

    def hop(self, channels: tuple[str, ...], before: Hop, location: str) -> Hop:
        """Return where an answer redirects a poll of these channels to.

        Raises:
            RefusedRedirectError: If it is no address, load on its host is not allowed, or it is
                one redirect too many.
        """
        asked = before.address or self._address_of(channels)
        address = redirected(asked, location, self._may_connect)
        redirects = before.redirects + 1
        if redirects > MAX_REDIRECTS:
            raise RefusedRedirectError(NO_ADDRESS, f"redirected more than {MAX_REDIRECTS} times")
        parts = urlsplit(address)
        host = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return Hop(address, "" if self._routes.is_ours(address) else host, redirects)

    def _redirected_request(self, hop: Hop, place: wire.Place, user: object) -> bytes:
        """Return the poll of a user that was redirected.

        What the target lets clients send besides goes to its own host only.
        """
        headers = self._headers
        if hop.host:
            others = {"Host": host_header(hop.host), **OWN_HEADERS, **_ACCEPT}
            headers = [f"{name}: {value}" for name, value in others.items()]
        head = wire.head(path_of(hop.address), place, headers)
        return b"%b%b\r\n" % (head, self._cookies.line(user, hop.address, is_ours=not hop.host))

    def _address_of(self, channels: tuple[str, ...]) -> str:
        return with_channels(self._address, channels, self.options.channel_separator)


def _layout(options: "ClientOptions") -> wire.Layout | None:
    """Return where in an answer is what; None where it is one message and nothing else."""
    if options.answer == "message":
        return None
    return wire.Layout(options.messages_path, options.cursor_path, options.interval_path)
