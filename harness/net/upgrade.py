"""The HTTP/1.1 upgrade to WebSocket, client side, without I/O.

A run joins up to 2,000 users a second with two cores for both ends, which leaves a join about
1 ms of CPU time in all. The request is the same for every user but for its key and its cookies, so
the rest is put together once; the answer is checked as the RFC requires. Source: RFC 6455, sections
4.1 and 4.2.2.
"""

import hashlib
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from websockets.uri import WebSocketURI

from harness.core.errors import RemoteProtocolError
from harness.net.http_stream import ResponseHead, words
from harness.net.request_fields import OWN_HEADERS

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RefusedUpgradeError(Exception):
    """The server answered the upgrade with an HTTP status other than 101.

    Attributes:
        status: The status, as text.
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Upgrade:
    """Everything about the upgrade that all connections to one address share.

    Args:
        uri: The WebSocket address.
        subprotocols: Values offered, in order; where none is offered, the server must choose none.
        headers: Further headers of the request.
        selectable: Of the values offered, those that the server may choose; left out, any.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        subprotocols: Sequence[str],
        headers: Mapping[str, str] = OWN_HEADERS,
        selectable: Sequence[str] = (),
    ) -> None:
        host = f"[{uri.host}]" if ":" in uri.host else uri.host
        if uri.port != (443 if uri.secure else 80):
            host = f"{host}:{uri.port}"
        further = dict(headers)
        if subprotocols:
            further["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
        lines = (
            f"GET {uri.resource_name} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in further.items()),
            "Sec-WebSocket-Key: ",
        )
        self._request = "\r\n".join(lines).encode("ascii")
        self._selectable = (*(selectable or subprotocols),) or ("",)

    def request(self, cookies: bytes = b"") -> tuple[bytes, bytes]:
        """Return the request's bytes and the key in it, fresh for each connection.

        Args:
            cookies: The line with them, its end included; empty for none.
        """
        key = b64encode(os.urandom(16))
        return b"%b%b\r\n%b\r\n" % (self._request, key, cookies), key

    def check(self, answer: ResponseHead, key: bytes) -> None:
        """Check the head of the server's answer to the request with ``key``.

        Raises:
            RefusedUpgradeError: If the status is not 101.
            RemoteProtocolError: If it is no valid answer to this request.
        """
        if answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
            raise RefusedUpgradeError(str(answer.status))
        accepted = b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        for name, possible in (
            ("upgrade", ("websocket",)),
            ("connection", ("upgrade",)),
            ("sec-websocket-accept", (accepted,)),
            ("sec-websocket-protocol", self._selectable),
        ):
            found = answer.headers.get(name, "")
            exact = name.startswith("sec-")
            if found not in possible and (exact or possible[0] not in words(found)):
                raise broken_upgrade(f"{name}: {found or 'nothing'}")
        if "sec-websocket-extensions" in answer.headers:
            raise broken_upgrade("an extension that was not requested")


def broken_upgrade(found: str) -> RemoteProtocolError:
    """Return the error for an answer that is no upgrade."""
    return RemoteProtocolError("WebSocket upgrade", f"answered with {found}", "101 was needed")
