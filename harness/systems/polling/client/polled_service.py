"""What all users of one worker share who poll a service: addresses, timer, requests and answers."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.core.message_token import as_json
from harness.net.addresses import path_of, with_channels
from harness.net.client import Access
from harness.net.http_publishing import HttpPublisher
from harness.net.route import Route
from harness.systems.polling import wire
from harness.systems.polling.client.answers import KnownAnswers
from harness.systems.polling.client.timing import PollClock

if TYPE_CHECKING:
    from harness.systems.polling.options import ClientOptions

MOST_REQUESTS = 4096
"""Requests kept ready: users at the same place send the same bytes."""


class PolledService:
    """One service as a worker uses it: addresses resolved, once for all users.

    A key is sent as a bearer token.

    Args:
        access: Addresses, both with ``{channel}`` where the channel belongs, and the options.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        parts = urlsplit(access.realtime)
        self.options: ClientOptions = access.options
        self.route = Route(access, access.realtime)
        self.clock = PollClock()
        self.publisher = HttpPublisher(access, lambda _channel, message: as_json(message))
        self.answers = KnownAnswers(_layout(self.options))
        self._path = path_of(access.realtime)
        self._headers = [f"Host: {parts.netloc.rpartition('@')[2]}", "Accept: application/json"]
        if access.api_key:
            self._headers.append(f"Authorization: Bearer {access.api_key}")
        if not self.options.reuse_connections:
            self._headers.append("Connection: close")
        self._requests: dict[tuple[tuple[str, ...], wire.Place], bytes] = {}

    def request(self, channels: tuple[str, ...], place: wire.Place) -> bytes:
        """Return the poll of a user at this place of its channels."""
        found = self._requests.get((channels, place))
        if found is None:
            path = with_channels(self._path, channels, self.options.channel_separator)
            path = wire.with_cursor(path, self.options.cursor_parameter, place.cursor)
            if len(self._requests) >= MOST_REQUESTS:
                self._requests.clear()
            found = wire.request(path, place, self._headers)
            self._requests[channels, place] = found
        return found


def _layout(options: "ClientOptions") -> wire.Layout | None:
    """Return where in an answer is what; None where it is one message and nothing else."""
    if options.answer == "message":
        return None
    return wire.Layout(options.messages_path, options.cursor_path, options.interval_path)
