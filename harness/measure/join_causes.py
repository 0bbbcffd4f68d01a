"""Why joins fail: the causes that every system has in common, whatever its own codes are."""

import re
from typing import Final

from harness.measure.exhaustion import EXHAUSTIONS

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
    "protocol_error": "protocol_error",
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
    if stage == "tls":
        return "tls"
    if _THROTTLED.search(code):
        return "throttled"
    return "http_status" if _HTTP_STATUS.fullmatch(code) else "other"
