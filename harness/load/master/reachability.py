"""See that a target answers at all, before thousands of users find out that it does not."""

import time
from urllib.parse import urlsplit

from harness.core.errors import TargetUnreachableError
from harness.net.stream import open_socket, resolve

ANSWER_WITHIN_S = 5.0
_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


def check_reachable(address: str) -> None:
    """Open one TCP connection to the host of a URL and close it again.

    Raises:
        TargetUnreachableError: If the name does not resolve or nobody accepts within 5 s.
    """
    parts = urlsplit(address)
    port = parts.port or _PORTS[parts.scheme]
    host, number = resolve(parts.hostname or "", port)
    where = f"{parts.hostname}:{port}"
    try:
        open_socket((host, number), time.monotonic() + ANSWER_WITHIN_S).close()
    except TimeoutError:
        found = f"no answer from {host} within {ANSWER_WITHIN_S:.0f} s"
    except OSError as error:
        found = f"{error.strerror} by {host}"
    else:
        return
    raise TargetUnreachableError(
        where,
        f"{found} (tried one TCP connection)",
        "a target must accept connections",
        "start the system, or check the endpoints in the target file",
    )
