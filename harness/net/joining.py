"""Parts of every join: stage times, the server's first answer, codes and texts of failures."""

import ssl
import time

from harness.core.errors import RemoteProtocolError
from harness.net.client import JoinTimes
from harness.net.stream import TcpStream, errno_name, wait_readable
from harness.net.upgrade import HEAD_END

MAX_HEAD_BYTES = 65_536


def lap(times: JoinTimes, stage: str, since_ns: int) -> int:
    """Record the duration of a stage; return its end, monotonic ns."""
    now = time.monotonic_ns()
    times.stages_ns[stage] = now - since_ns
    return now


def read_head(stream: TcpStream, deadline: float) -> tuple[bytes, bytes, int]:
    """Wait for an HTTP response's head.

    Returns:
        The head, the bytes after it, and when the kernel received its end, ns.

    Raises:
        OSError: If the connection ended or ``deadline`` passed first.
        RemoteProtocolError: If the head does not end.
    """
    head = b""
    while True:
        wait_readable(stream.sock, deadline)
        arrived = stream.receive()
        if arrived is None:
            continue
        received, kernel_ns = arrived
        if not received:
            raise ConnectionResetError("the server closed before it answered")
        head += received
        if HEAD_END in head:
            break
        if len(head) > MAX_HEAD_BYTES:
            raise RemoteProtocolError("HTTP response", "has an endless head", "an end was needed")
    end = head.index(HEAD_END) + len(HEAD_END)
    return head[:end], head[end:], kernel_ns


def join_code(error: Exception) -> str:
    """Return a short stable code for a failed join: an errno's name or the kind of error."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "tls_error"
    if isinstance(error, RemoteProtocolError):
        return "protocol_error"
    return errno_name(error) or type(error).__name__


def error_text(error: Exception) -> str:
    """Return the kernel's text for an error, or the error's own."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
