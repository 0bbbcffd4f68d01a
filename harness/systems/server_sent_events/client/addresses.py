"""Where streams are, and how they are asked for."""

import ssl
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from harness.net.addresses import path_of, tls_context, with_channels
from harness.net.stream import resolve
from harness.systems.server_sent_events import wire

_HEAD_END = b"\r\n\r\n"


class Place(NamedTuple):
    """A host that streams come from.

    Attributes:
        address: Numeric address and port.
        host: Its name.
        host_header: What requests call it.
        tls: How to connect; None without TLS.
        is_ours: Whether it is the target's own, and not one that it redirects to.
    """

    address: tuple[str, int]
    host: str
    host_header: str
    tls: ssl.SSLContext | None
    is_ours: bool


class Addresses:
    """The address of streams, and those that it redirects to.

    Args:
        realtime: With ``{channel}`` where the channel belongs.
        tls: Context for it; None without TLS.
        headers: Further request headers, for its own host only.
        separator: Stands between the channels of one stream.

    Raises:
        TargetUnreachableError: If its host name does not resolve.
    """

    def __init__(
        self,
        realtime: str,
        tls: ssl.SSLContext | None,
        headers: Mapping[str, str],
        separator: str,
    ) -> None:
        self._realtime = realtime
        self._separator = separator
        self._tls = tls
        self._headers = headers
        self._places: dict[tuple[str, str], Place] = {}
        self.place_of(realtime)

    def of_stream(self, channels: Sequence[str]) -> str:
        """Return the address of the one stream that carries these channels."""
        return with_channels(self._realtime, channels, self._separator)

    def place_of(self, address: str) -> Place:
        """Return where to connect for an address; resolved once for each host.

        Raises:
            TargetUnreachableError: If the host name does not resolve.
        """
        parts = urlsplit(address)
        key = parts.scheme, parts.netloc
        if key not in self._places:
            host, port = parts.hostname or "", parts.port
            found = resolve(host, port or (443 if parts.scheme == "https" else 80))
            is_first = not self._places
            tls = self._tls if is_first else tls_context(address, verify=True, ca_file=None)
            header = parts.netloc.rpartition("@")[2]
            self._places[key] = Place(found, host, header, tls, is_ours=is_first)
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
