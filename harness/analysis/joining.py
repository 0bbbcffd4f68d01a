"""Why joins failed: the causes that every system has in common, whatever its own codes are."""

import re
from typing import Final

import pandas as pd

from harness.measure.exhaustion import EXHAUSTIONS

CAUSES: Final = (
    *("refused", "timed_out", "tls", "http_status", "throttled", "protocol_error"),
    *("cut_off", "own_limit", "other"),
)
"""The names of the causes, in the order of tables."""

_JOIN_ERROR: Final = "JoinError"
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


def failed_joins(errors: pd.DataFrame) -> pd.DataFrame:
    """Return how many joins failed, a row a cause and a column a stage; only what occurred.

    Args:
        errors: The record's table of errors.
    """
    joins = errors[(errors["error_class"] == _JOIN_ERROR).to_numpy(dtype=bool, na_value=False)]
    joins = joins.fillna({"code": "", "stage": ""})
    causes = [cause_of(*pair) for pair in zip(joins["stage"], joins["code"], strict=True)]
    counts = joins.assign(cause=pd.Categorical(causes, CAUSES)).pivot_table(
        index="cause", columns="stage", values="count", aggfunc="sum", fill_value=0, observed=True
    )
    return counts.astype("int64")


def failed_by_cause(errors: pd.DataFrame) -> dict[str, int]:
    """Return how many joins failed for each of ``CAUSES``."""
    totals = failed_joins(errors).sum(axis=1)
    return {cause: int(totals.get(cause, 0)) for cause in CAUSES}
