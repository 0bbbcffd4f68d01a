"""Parts of every join: stage times, the server's first answer, codes and texts of failures."""

import ssl
import time

from harness.core.errors import RemoteProtocolError
from harness.core.join_stages import TLS_ALERT
from harness.core.outside_text import excerpt
from harness.net.client import JoinError, JoinTimes
from harness.net.http_stream import HeadReader, ResponseHead
from harness.net.stream import TcpStream, errno_name, wait_readable

_HTTP2_SETTINGS = b"\x04"
"""Type of the frame with which a server of HTTP/2 begins (RFC 9113, section 3.4)."""


def lap(times: JoinTimes, stage: str, since_ns: int) -> int:
    """Record the duration of a stage; return its end, monotonic ns."""
    now = time.monotonic_ns()
    times.stages_ns[stage] = now - since_ns
    return now


def read_head(stream: TcpStream, deadline: float) -> tuple[ResponseHead, bytes, int]:
    """Wait for the head of an HTTP response; interim ones are skipped.

    Returns:
        The head, the bytes after it, and when the kernel received its end, ns; realtime.

    Raises:
        OSError: If the connection ended or ``deadline`` passed first.
        RemoteProtocolError: If the head does not end.
    """
    reader = HeadReader()
    while True:
        try:
            wait_readable(stream.sock, deadline)
        except TimeoutError:  # Some end the lines of a head with LF alone.
            raise TimeoutError(f"timed out{_instead(reader.taken)}") from None
        arrived = stream.receive()
        if arrived is None:
            continue
        received, kernel_ns = arrived
        if not received:
            instead = _instead(reader.taken)
            raise ConnectionResetError(f"the server closed before it answered{instead}")
        if (found := reader.feed(received)) is not None:
            return *found, kernel_ns


def _instead(head: bytes | bytearray) -> str:
    """Return what a server spoke that did not answer in HTTP/1.1; empty for nothing."""
    if head[:2] == b"\0\0" and head[3:4] == _HTTP2_SETTINGS:
        return ": it speaks HTTP/2 only"
    return f": it sent {excerpt(head, 40)!r}" if head else ""


class PeerError(OSError):
    """A connection is of no use for what the other side sent.

    Attributes:
        code: Short and stable, such as ``oversize``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ProxyError(PeerError):
    """A proxy did not make the connection; its code may be the HTTP status of its answer."""


def failed_join(stage: str, error: Exception) -> JoinError:
    """Return the error for a join that failed at a stage.

    Under TLS 1.3 the server's refusal of a certificate arrives after the handshake; it belongs to
    stage tls all the same.
    """
    stage = "tls" if isinstance(error, ssl.SSLError) else stage
    return JoinError(stage, join_code(error), error_text(error))


def join_code(error: Exception) -> str:
    """Return a short stable code for a failed join: an errno's name or the kind of error."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        _, is_alert, alert = (error.reason or "").partition("_ALERT_")
        return f"{TLS_ALERT}{alert.lower()}" if is_alert else "tls_error"
    if isinstance(error, RemoteProtocolError | PeerError):
        return error.code
    return errno_name(error) or type(error).__name__


def error_text(error: Exception) -> str:
    """Return the kernel's text for an error, or the error's own."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
