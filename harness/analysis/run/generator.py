"""How the load generator did: its figures, and the limits past which a run is invalid."""

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from harness.analysis.run.clocks import clock_error_ms
from harness.analysis.run.record import Json, Record, measured
from harness.core.clock import NS_PER_MS

WINDOW_S: Final = 5
"""Ratios are averaged over this many seconds before their peak is taken: one second is noise."""

_RATIOS: Final = ("cpu_ratio", "cpu_wait_ratio", "machine_idle_ratio", "machine_others_ratio")
_LEAST_IDLE_RATIO: Final = 0.1
"""With less of the machine idle than this, its programs wait for each other."""

_QUARTERS: Final = 4
_SECONDS_PER_QUARTER: Final = 2
"""A trend is not read from fewer seconds with deliveries than this, times four."""


class Limit(NamedTuple):
    """One limit of the load generator.

    Attributes:
        key: Its name in the workload's ``generator`` table.
        metric: The summary's figure it holds for.
        code: Code of the warning when it is passed.
        hint: What happened then and what to do about it.
    """

    key: str
    metric: str
    code: str
    hint: str


LIMITS: Final = (
    Limit(
        "send_delay_p99_ms",
        "publishes.send_delay_ms.p99",
        "generator_send_delay",
        "the generator sent later than scheduled: use more workers or a lower publish rate",
    ),
    Limit(
        "late_slots_ratio",
        "generator.late_slots_ratio",
        "generator_late_slots",
        "messages missed their slots in the schedule: use more workers or a lower publish rate",
    ),
    Limit(
        "loop_lag_p99_ms",
        "generator.loop_lag_ms.p99",
        "generator_loop_lag",
        "the workers' event loops were overloaded: use more workers or fewer users",
    ),
    Limit(
        "loop_lag_max_ms",
        "generator.loop_lag_ms.max",
        "generator_stopped",
        "a worker stood still: look for what stopped its process, or blocked its event loop, "
        "and run again",
    ),
    Limit(
        "cpu_ratio",
        "generator.cpu_ratio_peak",
        "generator_cpu",
        "a worker used up its core: use more workers, or a machine with more cores",
    ),
    Limit(
        "cpu_wait_ratio",
        "generator.cpu_wait_ratio_peak",
        "generator_cpu_wait",
        "a worker waited for a core that other processes had: run the system elsewhere, or use a "
        "machine with more cores",
    ),
    Limit(
        "machine_others_ratio",
        "generator.machine_others_ratio_peak",
        "machine_crowded",
        "programs outside this run took too much of the machine's cores from the load and from "
        "the system emulated beside it: stop them and run again",
    ),
    Limit(
        "receive_delay_p99_ms",
        "receive_delay_ms.p99",
        "generator_receive_delay",
        "what arrived waited long for the workers: use more workers or fewer users",
    ),
    Limit(
        "receive_delay_growth_ms",
        "generator.receive_delay_growth_ms",
        "generator_backlog",
        "the workers fell further and further behind what arrived: use more workers, fewer users "
        "or a lower publish rate",
    ),
    Limit(
        "gc_pause_max_ms",
        "generator.gc_pause_max_ms",
        "generator_gc_pause",
        "Python's garbage collector stopped a worker: use more workers with fewer users each",
    ),
)
"""Limits past which the generator did not keep up."""

CLOCK_STEP: Final = Limit(
    "clock_step_max_ms",
    "generator.clock_step_max_ms",
    "clock_step",
    "a worker's clock was set, or its machine was suspended, during the run: keep it awake, let it "
    "synchronise before, and run again",
)
CLOCK_ERROR: Final = Limit(
    "clock_error_max_ms",
    "generator.clock_error_ms",
    "clock_error",
    "latencies between workers may be wrong by this much: bring workers and master closer "
    "together, or give the control channel a network that is not full",
)
CLOCK_LIMITS: Final = (CLOCK_STEP, CLOCK_ERROR)


def generator_figures(record: Record) -> Json:
    """Return the summary's figures about the load generator."""
    rows = record.generator
    seconds = measured(record.timeline)["second"].unique()
    busy = rows[rows["second"].isin(seconds)].sort_values("second")
    smooth = _smooth(busy)
    return {
        "workers": len(record.run.get("workers", [])),
        "cpu_ratio_peak": _highest(smooth["cpu_ratio"]),
        "cpu_wait_ratio_peak": _highest(smooth["cpu_wait_ratio"]),
        "machine_others_ratio_peak": _others_peak(smooth, record),
        "loop_lag_ms": record.histograms.block_ms("generator.loop_lag_ms"),
        "receive_delay_growth_ms": _growth_ms(busy),
        "receive_backlog_peak": _highest(busy["receive_backlog"]),
        "gc_pause_max_ms": _highest(busy["gc_pause_ms_max"]),
        "late_slots_ratio": _late_slots_ratio(record),
        "clock_step_max_ms": _highest(rows["clock_step_ms"].abs()),
        "unstamped_receives": _highest(rows["unstamped_receives"].cumsum()),
        "rss_bytes_peak": _highest(rows.groupby("second")["rss_bytes"].sum()),
        "clock_error_ms": clock_error_ms(busy),
    }


def _smooth(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each worker's ratios as means over a few seconds; an empty run has no rows."""
    windows = [
        worker[list(_RATIOS)].rolling(min(WINDOW_S, len(worker))).mean()
        for _, worker in rows.groupby("worker")
    ]
    return pd.concat(windows) if windows else rows[list(_RATIOS)]


def _others_peak(smooth: pd.DataFrame, record: Record) -> float | None:
    """Return the highest share that other programs had of cores of which nothing was left idle.

    None where the system is not emulated: its latency then does not depend on these cores.
    """
    others = smooth["machine_others_ratio"]
    if not record.target.get("emulated") or not others.notna().any():
        return None
    return _highest(others.where(smooth["machine_idle_ratio"] < _LEAST_IDLE_RATIO, 0.0))


def _growth_ms(rows: pd.DataFrame) -> float | None:
    """Return how much the receive delay of some worker grew from quarter to quarter, at most.

    A backlog makes the median of every quarter exceed that of the one before; a stall, or a
    burst, does not. Seconds without deliveries do not count.
    """
    growths = []
    for _, worker in rows.groupby("worker"):
        delays_ms = worker["receive_delay_ms_p99"].dropna().to_numpy(dtype=float)
        if len(delays_ms) >= _QUARTERS * _SECONDS_PER_QUARTER:
            medians = [float(np.median(part)) for part in np.array_split(delays_ms, _QUARTERS)]
            growing = all(np.diff(medians) > 0)
            growths.append(medians[-1] - medians[0] if growing else 0.0)
    return round(max(growths), 3) if growths else None


def _late_slots_ratio(record: Record) -> float | None:
    """Return the share of measured messages that were sent past the limit of the send delay."""
    limit_ms = record.workload.get("generator", {}).get("send_delay_p99_ms")
    messages = measured(record.messages)
    delays_ns = (messages["sent_ns"] - messages["intended_ns"]).dropna()
    if limit_ms is None or delays_ns.empty:
        return None
    return round(float((delays_ns > limit_ms * NS_PER_MS).mean()), 6)


def _highest(column: "pd.Series[Any]") -> float | None:
    if not column.notna().any():
        return None
    highest = column.max()
    return int(highest) if pd.api.types.is_integer_dtype(column) else round(float(highest), 4)
