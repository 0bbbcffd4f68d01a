"""The load side's client of the hybrid: chatters on sockets, viewers polling."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from harness.net.client import Access, Client, Listener, PublishAnswer
from harness.systems.appsync_events.client.api import AppSyncEventsApi
from harness.systems.polling import wire
from harness.systems.polling.client.poller import PollingApi

VIEWER = "subscriber"
"""The users who poll. All others hold a socket."""


class HybridApi:
    """Both systems as one worker uses them.

    Viewers are anonymous: the key is the chatters', and no poll carries it.

    Args:
        access: Addresses of the Event API; ``options.poll_address`` is where viewers poll.

    Raises:
        TargetUnreachableError: If a host name does not resolve.
    """

    def __init__(self, access: Access) -> None:
        address = access.options.poll_address or beside(access.http)
        self._sockets = AppSyncEventsApi(access)
        self._polls = PollingApi(replace(access, realtime=address, http=address, api_key=""))

    def client(
        self, channels: Sequence[str], frame_cache: dict[bytes, Any], listener: Listener
    ) -> Client:
        """Return a client for one user, not yet connected, of the system for its class."""
        if listener.user_class == VIEWER:
            return self._polls.client(channels, frame_cache, listener)
        return self._sockets.client(channels, frame_cache, listener)

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST one publish to the Event API, in the calling greenlet; raises OSError."""
        return self._sockets.publish_over_http(publish_id, channel, events)

    def close(self) -> None:
        """Close everything but the clients, which close themselves."""
        self._sockets.close()
        self._polls.close()


def beside(http: str) -> str:
    """Return the address of polls on the host that takes publishes, as the emulator has it."""
    parts = urlsplit(http)
    return urlunsplit((parts.scheme, parts.netloc, wire.POLL_PATH, "", ""))
