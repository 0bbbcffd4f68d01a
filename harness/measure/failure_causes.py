"""Why joins and publishes fail: the limits of a generator, and the causes common to all systems."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.core.join_stages import TLS_ALERT
from harness.core.peer_limits import FLOOD, OVERSIZE


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """A resource of the load generator that was used up; never the system's fault.

    Attributes:
        code: Stable name, for causes and warnings.
        what: Who ran out of what, as the beginning of a sentence.
    """

    code: str
    what: str
    remedy: str


EXHAUSTIONS: Mapping[str, Exhaustion] = {
    "EMFILE": Exhaustion(
        "out_of_open_files",
        "a worker ran out of open files",
        "use more workers, or raise the hard limit (ulimit -Hn)",
    ),
    "ENFILE": Exhaustion(
        "out_of_open_files",
        "the machine ran out of open files",
        "raise fs.file-max, or spread the load over more machines",
    ),
    "EADDRNOTAVAIL": Exhaustion(
        "out_of_ports",
        "a worker ran out of ports to connect from",
        "use more workers or source addresses, or widen net.ipv4.ip_local_port_range",
    ),
}
"""By the name of the error number that a connect or a publish ends with."""

CAUSES: Final = (
    *("refused", "timed_out", "tls", "http_status", "throttled", "protocol_error"),
    *("cut_off", "own_limit", "other"),
)
"""The names of the causes, in the order of tables."""

_BY_CODE: Final = {
    **dict.fromkeys(("ECONNREFUSED", "connect_refused"), "refused"),
    **dict.fromkeys(("timeout", "ETIMEDOUT", "connect_timeout"), "timed_out"),
    "tls_error": "tls",
    "429": "throttled",
    **dict.fromkeys(("protocol_error", OVERSIZE, FLOOD), "protocol_error"),
    **dict.fromkeys(("closed", "ECONNRESET", "EPIPE", "stream_reset", "stream_end"), "cut_off"),
    **dict.fromkeys(EXHAUSTIONS, "own_limit"),
}
_THROTTLED: Final = re.compile("LimitExceeded|TooManyRequests|Throttl", re.IGNORECASE)
_HTTP_STATUS: Final = re.compile(r"[1-5]\d\d|http_error\w*")


def cause_of(stage: str, code: str) -> str:
    """Return the cause of a failed join, one of ``CAUSES``.

    Args:
        stage: Where it failed.
        code: The kernel's name for it, an HTTP status, or the system's own.
    """
    if (found := _BY_CODE.get(code)) is not None:
        return found
    if stage == "tls" or code.startswith(TLS_ALERT):
        return "tls"
    if _THROTTLED.search(code):
        return "throttled"
    return "http_status" if _HTTP_STATUS.fullmatch(code) else "other"
