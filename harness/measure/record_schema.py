"""The tables of a run record: what a row is, and the columns with their types.

Writers make rows of these types, readers take the columns' types from them. Units stand in the
names: ``_ns``, ``_ms``, ``_s``, ``_bytes``, ``_ratio``. Instants are run-clock nanoseconds and stay
integers, because a float would round them to 256 ns. A value that never came is null, and so is
every value of a column that an earlier version did not write.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, TypedDict, get_args, get_type_hints

from harness.core.metric_types import STATISTICS

Columns = Mapping[str, Any]
"""The type of each column's values where they are not null: int, float, str, bool or list[int]."""

LATENCY_METRICS: Final = (
    "fan_out_latency",
    "service_latency",
    "receive_delay",
    "publish_latency",
    "send_delay",
    "join_latency",
)
"""Latencies with percentiles in every row of the timeline."""

TIMELINE_COUNTERS: Final = (
    "joins_attempted",
    "joins_succeeded",
    "joins_failed",
    "disconnects",
    "errors",
    "publishes_offered",
    "publishes_sent",
    "publishes_acknowledged",
    "publishes_failed",
    "publishes_throttled",
    "deliveries",
    "bytes_received",
    "negative_count",
    "out_of_range_count",
)

DELIVERY_COUNTS: Final = ("delivered", "duplicated", "reordered", "late", "unexpected")
"""What subscribers count about the deliveries they see."""

IRREGULAR_COUNTS: Final = ("foreign", "malformed", "altered", "misrouted")
"""What a connection counts of what arrived and was no intact delivery."""

REACHED: Final = ("first_arrival_ns", "half_arrival_ns", "p99_arrival_ns", "last_arrival_ns")
"""When the first subscriber had a message, half of those owed it, 99 % of them, and the last."""


class HealthRow(TypedDict):
    """How a worker's process and its machine did in one second."""

    second: int
    cpu_ratio: float
    cpu_wait_ratio: float | None
    machine_idle_ratio: float | None
    machine_others_ratio: float | None
    loop_lag_ms_p50: float | None
    loop_lag_ms_p99: float | None
    loop_lag_ms_max: float | None
    send_delay_ms_max: float | None
    receive_delay_ms_p99: float | None
    receive_backlog: int | None
    gc_pause_ms_max: float
    clock_step_ms: float
    late_slots: int
    unstamped_receives: int
    rss_bytes: int
    connections: int
    open_files: int


class ClockRow(TypedDict):
    """How well a worker knew the run clock in one second."""

    clock_offset_ms: float | None
    clock_error_ms: float | None
    clock_round_trip_ms: float | None
    clock_exchanges: int


class GeneratorRow(HealthRow, ClockRow):
    """One second of one worker."""

    worker: int
    negative_ms_max: float


class PublishRow(TypedDict):
    """One message on the publisher's side; one that was not sent has no stream."""

    id: int
    stream: int | None
    sequence: int | None
    worker: int
    channel: str
    chatter: int
    bytes: int
    intended_ns: int
    sent_ns: int | None
    acknowledged_ns: int | None
    outcome: str
    phase: str


class ArrivalRow(TypedDict):
    """One message at the users of one class of one worker; rows of a message are added up."""

    stream: int
    sequence: int
    worker: int
    user_class: str
    delivered: int
    duplicated: int
    reordered: int
    late: int
    unexpected: int
    first_arrival_ns: int | None
    last_arrival_ns: int | None
    arrival_bins: list[int]


class ConnectionRow(TypedDict):
    """One attempt to join and the connection it led to, as its worker counted it."""

    worker: int
    user_class: str
    user: int
    connection: int
    channel: str | None
    joined: bool
    failure_stage: str | None
    failure_code: str | None
    join_start_ns: int
    tcp_ms: float | None
    tls_ms: float | None
    upgrade_ms: float | None
    init_ms: float | None
    subscribe_ms: float | None
    owed_from_ns: int | None
    owed_until_ns: int | None
    closed_ns: int | None
    close_code: int | None
    close_reason: str
    received: int
    delivered: int
    duplicated: int
    reordered: int
    late: int
    unexpected: int
    foreign: int
    malformed: int
    altered: int
    misrouted: int
    longest_stall_s: float
    first_arrival_ns: int | None
    last_arrival_ns: int | None


def _columns_of(row: type) -> Columns:
    return {name: _without_null(kind) for name, kind in get_type_hints(row).items()}


def _without_null(kind: Any) -> Any:
    choices = get_args(kind)
    return choices[0] if NoneType in choices else kind


_TIMELINE: Final[Columns] = {
    "second": int,
    "phase": str,
    "user_class": str,
    "connected": int,
    **dict.fromkeys(TIMELINE_COUNTERS, int),
    **{f"{m}_ms_{p}": float for m in LATENCY_METRICS for p in STATISTICS},
}
"""One second of one user class."""

_ERRORS: Final[Columns] = {
    "second": int,
    "worker": int,
    "stage": str,
    "error_class": str,
    "code": str,
    "message": str,
    "count": int,
}
"""One kind of error in one second of one worker."""

_REQUESTS: Final[Columns] = {
    "second": int,
    "phase": str,
    "name": str,
    "count": int,
    "failures": int,
    "bytes": int,
    **{f"latency_ms_{p}": float for p in STATISTICS},
}
"""One second of one kind of request of ordinary Locust users, method and name."""

JOURNAL_TABLES: Final[Mapping[str, Columns]] = {
    "timeline": _TIMELINE,
    "generator": _columns_of(GeneratorRow),
    "publishes": _columns_of(PublishRow),
    "arrivals": _columns_of(ArrivalRow),
    "connections": _columns_of(ConnectionRow),
    "errors": _ERRORS,
    "requests": _REQUESTS,
}
"""The tables that are written during a run."""

RECORD_TABLES: Final[Mapping[str, Columns]] = {
    "timeline": _TIMELINE,
    "generator": JOURNAL_TABLES["generator"],
    "messages": {
        **JOURNAL_TABLES["publishes"],
        "owed": int,
        "lost": int,
        **dict.fromkeys((*DELIVERY_COUNTS, *REACHED), int),
    },
    "connections": {
        **JOURNAL_TABLES["connections"],
        "owed": int,
        "lost": int,
        "stall_s": float,
        "away_s": float,
        "missed_while_away": int,
    },
    "errors": _ERRORS,
    "requests": _REQUESTS,
}
"""The tables of a finished record; ``<name>.parquet`` holds each.

A message is one row, the publisher's and the subscribers' sides joined. ``away_s`` is the time
after a connection in which its user was owed nothing.
"""

RENAMED_COLUMNS: Final[Mapping[str, str]] = {"unowed": "unexpected"}
"""Columns of earlier records, by the name they have now."""
