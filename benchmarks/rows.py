"""The rows of the table: the compared figures and their limits."""

import time
from collections.abc import Mapping
from statistics import median

from benchmarks.full_scale import FullScaleResult
from benchmarks.latency import Reported
from benchmarks.memory import Weight
from benchmarks.programs import ProgramError
from benchmarks.receivers import Ours
from benchmarks.side_by_side import Contender
from benchmarks.table import RATIO, Cost, Row, middle_half, ratio_row

BYTES_UNIT = "KiB"

CPU = "CPU per delivery"
COMPARISONS = (
    ("cpu_vs_floor", f"{CPU} ÷ C floor", "ours", "floor", 2.0),
    ("cpu_tls_vs_floor", f"{CPU} over TLS ÷ C floor, plain", "ours_tls", "floor", 3.0),
    ("cpu_tls_vs_floor_tls", f"{CPU} over TLS ÷ C floor, TLS", "ours_tls", "floor_tls", None),
    (
        *("cpu_streams_vs_floor", f"{CPU} of server-sent events ÷ C floor, both on nchan"),
        *("ours_streams", "nchan", 1.5),
    ),
    (
        *("cpu_frames_vs_floor", f"{CPU} of API Gateway WebSocket ÷ C floor, both on nchan"),
        *("ours_frames", "nchan", 1.5),
    ),
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
    ("cpu_vs_tsung", f"{CPU} ÷ Tsung, which parses nothing", "ours", "tsung", None),
)
"""Name, title, ours, the other, highest value that is good enough."""

SAME_MAGNITUDE = 10.0
COUNTED_WITHIN_S = 5.0


def receiving(contenders: Mapping[str, Contender | str]) -> list[Row]:
    """Return the comparisons of what a delivery costs to receive."""
    return [
        ratio_row(name, title, _received(contenders[ours]), _received(contenders[other]), limit)
        for name, title, ours, other, limit in COMPARISONS
    ]


def sending(contenders: Mapping[str, Contender | str]) -> Row:
    """Return the comparison of what a delivery costs to send; the floor receives both."""
    title = f"emulator {CPU} ÷ nchan in nginx"
    ours, other = (_sent(contenders[name]) for name in ("floor", "nchan"))
    return ratio_row("emulator_cpu_vs_nchan", title, ours, other, 1.0)


def memory(plain: Weight | str, tls: Weight | str, cohort: Weight | str) -> list[Row]:
    """Return what a held subscriber weighs.

    Args:
        plain: One connection a Locust user.
        tls: The same over TLS.
        cohort: Where a Locust user holds 100 connections.
    """
    name, title = "memory_per_subscriber", "memory per held subscriber"
    return [
        _weighed(name, title, plain, 16.0),
        _weighed(f"{name}_tls", f"{title}, TLS", tls, 56.0),
        _weighed(f"{name}_cohort", f"{title}, 100 to a Locust user", cohort, 2.5),
    ]


def latency(reported: Reported | str) -> list[Row]:
    """Return how far work in the receiver moves the latency it reports."""
    names = ("fan_out_p95_shift", "fan_out_p95_shift_user_clock")
    titles = (
        "fan-out p95, moved by 60 µs more work a message",
        "the same for a tool that reads its own clock",
    )
    limits = (2.0, None)
    if isinstance(reported, str):
        cells = zip(names, titles, limits, strict=True)
        return [
            Row(name, title, "ms", limit=limit, missing=reported) for name, title, limit in cells
        ]
    moved_ms = reported.differences_ms
    return [
        Row(
            *(names[0], titles[0], "ms", abs(median(moved_ms)), limits[0]),
            spread=middle_half(moved_ms),
            details=reported._asdict(),
        ),
        Row(names[1], titles[1], "ms", reported.busy_user_ms - reported.calm_user_ms),
    ]


def full_scale(
    streams: FullScaleResult | str, emulated: FullScaleResult | str, subscribers: int
) -> list[Row]:
    """Return losses and latency of the same population on two systems.

    Args:
        streams: On server-sent events from nchan.
        emulated: On the emulated AppSync Events.
        subscribers: How many each had.
    """
    users = f"{subscribers:,} subscribers"
    names = (
        ("streams", f"{users} of server-sent events on nchan"),
        ("emulated", f"{users} of the emulator"),
    )
    found = []
    for (name, title), run in zip(names, (streams, emulated), strict=True):
        cells = (f"crowd_{name}_lost", f"lost, {title}", "deliveries")
        late = (f"crowd_{name}_p99", f"fan-out p99, {title}", "ms")
        if isinstance(run, str):
            found += [Row(*cells, limit=0.0, missing=run), Row(*late, missing=run)]
        else:
            details = run._asdict()
            found += [Row(*cells, float(run.lost), 0.0, details=details)]
            found += [Row(*late, run.fan_out_p99_ms, details=details)]
    cells = ("crowd_p99_ratio", "the two p99: server-sent events ÷ emulator", RATIO)
    for run in (streams, emulated):
        if isinstance(run, str):
            return [*found, Row(*cells, limit=SAME_MAGNITUDE, missing=run)]
    assert isinstance(streams, FullScaleResult)  # noqa: S101  for the type checker
    assert isinstance(emulated, FullScaleResult)  # noqa: S101
    ratio = streams.fan_out_p99_ms / emulated.fan_out_p99_ms
    return [*found, Row(*cells, ratio, SAME_MAGNITUDE)]


def check_count(contender: Contender) -> None:
    """Compare the harness's own count with the sender's; where they differ nothing counts."""
    if contender.missing or not isinstance(contender.program, Ours):
        return
    expected = contender.sent * contender.connections
    try:
        counted = _count(contender.program, expected)
    except ProgramError as error:
        contender.missing = str(error)
        return
    if counted != expected:
        contender.missing = f"counted {counted} deliveries of {expected}"


def _count(program: Ours, expected: int) -> int:
    """Return what the harness has counted, as soon as that is all or nothing more comes."""
    deadline = time.monotonic() + COUNTED_WITHIN_S
    while (counted := program.deliveries()) < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return counted


def _weighed(name: str, title: str, weight: Weight | str, limit: float) -> Row:
    if isinstance(weight, str):
        return Row(name, title, BYTES_UNIT, limit=limit, missing=weight)
    kib, error = weight.kib
    details = {
        "rss_kib_by_connections": {str(size): rss_kib for size, rss_kib in weight.rss_kib.items()}
    }
    spread = (kib - error, kib + error)
    return Row(name, title, BYTES_UNIT, kib, limit, spread=spread, details=details)


def _received(contender: Contender | str) -> Cost | str:
    return contender if isinstance(contender, str) else contender.receiver_cost()


def _sent(contender: Contender | str) -> Cost | str:
    return contender if isinstance(contender, str) else contender.sender_cost()
