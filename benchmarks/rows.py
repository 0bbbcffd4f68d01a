"""The rows of the table: which figures are compared, and what each may be at most."""

import time
from collections.abc import Mapping

from benchmarks.lanes import Lane
from benchmarks.latency import Many
from benchmarks.receivers import Ours
from benchmarks.table import Cost, Row, ratio_row

BYTES_UNIT = "KiB"

CPU = "CPU per delivery"
COMPARISONS = (
    ("cpu_vs_floor", f"{CPU} ÷ C floor", "ours", "floor", 2.0),
    ("cpu_tls_vs_floor", f"{CPU} over TLS ÷ C floor, plain", "ours_tls", "floor", 3.0),
    ("cpu_tls_vs_floor_tls", f"{CPU} over TLS ÷ C floor, TLS", "ours_tls", "floor_tls", None),
    ("cpu_vs_k6", f"{CPU} ÷ k6", "ours", "k6", 1 / 6),
    (
        *("cpu_vs_websocket_client", f"{CPU} ÷ Locust on websocket-client"),
        *("ours", "websocket_client", 1 / 8),
    ),
    (
        *("cpu_vs_websockets_sync", f"{CPU} ÷ Locust on websockets.sync"),
        *("ours", "websockets_sync", None),
    ),
    (
        *("cpu_vs_artillery", f"{CPU} ÷ Artillery with a message hook"),
        *("ours", "artillery", 1 / 2),
    ),
)
"""Name, title, ours, the other, highest value that is good enough."""

COUNTED_WITHIN_S = 5.0


def receiving(lanes: Mapping[str, Lane | str]) -> list[Row]:
    """Return the comparisons of what a delivery costs to receive."""
    return [
        ratio_row(name, title, _received(lanes[ours]), _received(lanes[other]), limit)
        for name, title, ours, other, limit in COMPARISONS
    ]


def sending(lanes: Mapping[str, Lane | str]) -> Row:
    """Return the comparison of what a delivery costs to send; the floor receives both."""
    title = f"emulator {CPU} ÷ nchan in nginx"
    ours, other = (_sent(lanes[name]) for name in ("floor", "nchan"))
    return ratio_row("emulator_cpu_vs_nchan", title, ours, other, 1.0)


def memory(plain_kib: float | str, tls_kib: float | str, cohort_kib: float | str) -> list[Row]:
    """Return what a held subscriber weighs.

    Args:
        plain_kib: One connection a Locust user.
        tls_kib: The same over TLS.
        cohort_kib: Where a Locust user holds 100 connections.
    """
    return [
        _measured("memory_per_subscriber", "memory per held subscriber", plain_kib, 16.0),
        _measured("memory_per_subscriber_tls", "memory per held subscriber, TLS", tls_kib, 56.0),
        _measured(
            "memory_per_subscriber_cohort",
            "memory per held subscriber, 100 to a Locust user",
            cohort_kib,
            2.5,
        ),
    ]


def latency(many: Many | str) -> list[Row]:
    """Return how far work in the receiver moves the latency it reports."""
    names = ("fan_out_p95_shift", "fan_out_p95_shift_user_clock")
    titles = (
        "fan-out p95, moved by 60 µs more work a message",
        "the same for a tool that reads its own clock",
    )
    if isinstance(many, str):
        pairs = zip(names, titles, strict=True)
        return [Row(name, title, "ms", missing=many) for name, title in pairs]
    reported = many.reported
    details = {**reported._asdict(), "connections": many.connections}
    own_clock_ms = reported.busy_user_ms - reported.calm_user_ms
    return [
        Row(names[0], titles[0], "ms", abs(reported.difference_ms), 2.0, details=details),
        Row(names[1], titles[1], "ms", own_clock_ms),
    ]


def check_count(lane: Lane) -> None:
    """Compare the harness's own count with the sender's; where they differ nothing counts."""
    if not isinstance(lane.program, Ours):
        return
    expected = lane.sent * lane.connections
    deadline = time.monotonic() + COUNTED_WITHIN_S
    while (counted := lane.program.deliveries()) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    if counted != expected:
        lane.missing = f"counted {counted} deliveries of {expected}"


def _measured(name: str, title: str, kib: float | str, limit: float) -> Row:
    if isinstance(kib, str):
        return Row(name, title, BYTES_UNIT, limit=limit, missing=kib)
    return Row(name, title, BYTES_UNIT, kib, limit)


def _received(lane: Lane | str) -> Cost | str:
    return lane if isinstance(lane, str) else lane.receiver_cost()


def _sent(lane: Lane | str) -> Cost | str:
    return lane if isinstance(lane, str) else lane.sender_cost()
