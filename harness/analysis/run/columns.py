"""The type of every column in a run record's tables.

Names come from the record's writer; only types are added here. Instants are run-clock nanoseconds
and stay integers (a float would round them to 256 ns); an instant that never came is null.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from harness.measure.record import TABLES

COUNTS: Final = ("delivered", "duplicated", "reordered", "late", "unexpected")
"""What subscribers count about the deliveries they see."""

_TEXT: Final = {
    *("phase", "user_class", "channel", "outcome", "close_reason", "name"),
    *("failure_stage", "failure_code", "stage", "error_class", "code", "message"),
}
_FLOAT: Final = {
    *("tcp_ms", "tls_ms", "upgrade_ms", "init_ms", "subscribe_ms"),
    *("cpu_ratio", "cpu_wait_ratio", "machine_idle_ratio", "machine_others_ratio"),
    *("clock_offset_ms", "clock_error_ms", "clock_round_trip_ms"),
    *("clock_step_ms", "longest_stall_s", "stall_s", "away_s"),
}


def column_type(name: str) -> pa.DataType:
    """Return the type of a column: most count or time something, so most are integers."""
    if name in _TEXT:
        return pa.string()
    if name == "joined":
        return pa.bool_()
    if name == "arrival_bins":
        return pa.list_(pa.int64())
    if name in _FLOAT or "_ms_" in name:
        return pa.float64()
    return pa.int64()


def _schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, column_type(name)) for name in columns])


JOURNALS: Final = {table: _schema(columns) for table, columns in TABLES.items()}
"""The journal's tables, as the run wrote them."""

TIMELINE: Final = JOURNALS["timeline"]
"""One row is one second of one user class."""

GENERATOR: Final = JOURNALS["generator"]
"""One row is one second of one worker."""

ERRORS: Final = JOURNALS["errors"]
"""One row is one kind of error in one second of one worker."""

REQUESTS: Final = JOURNALS["requests"]
"""One row is one second of one kind of request of ordinary Locust users."""

CONNECTIONS: Final = _schema(
    (*TABLES["connections"], "owed", "lost", "stall_s", "away_s", "missed_while_away")
)
"""One row is one connection: what its worker counted, then what the ledger adds.

``away_s`` is the time after it in which its user was owed nothing.
"""

REACHED: Final = ("first_arrival_ns", "half_arrival_ns", "p99_arrival_ns", "last_arrival_ns")
"""When the first subscriber had a message, half of those owed it, 99 % of them, and the last."""

MESSAGES: Final = _schema((*TABLES["publishes"], "owed", "lost", *COUNTS, *REACHED))
"""One row is one message, the publisher's and the subscribers' sides joined."""

PARQUET: Final = {
    "timeline": TIMELINE,
    "generator": GENERATOR,
    "messages": MESSAGES,
    "connections": CONNECTIONS,
    "errors": ERRORS,
    "requests": REQUESTS,
}
"""The finished record's tables; ``<name>.parquet`` holds each."""
