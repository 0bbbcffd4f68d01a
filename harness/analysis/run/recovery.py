"""What can still be said about a run whose ``run.json`` is gone: its times, from its tables."""

import re
from collections.abc import Mapping
from typing import Any, Final

from harness.analysis.run.tables import Table
from harness.core.clock import NS_PER_S
from harness.measure.record import SCHEMA_VERSION

DAMAGED: Final = "damaged"
"""Status of a run of which nobody knows any more how it ended."""

_EPOCH = re.compile(rb"#\[StartTime: (\d+\.\d+)")
_INSTANTS: Final = (("connections", "join_start_ns"), ("messages", "intended_ns"))


def recover_run(tables: Mapping[str, Table], log: bytes) -> dict[str, Any] | None:
    """Return a stand-in for ``run.json``; None where nothing of a run is left.

    Args:
        tables: The tables by name, as far as they could be read.
        log: The beginning of the histogram log, which names the epoch.
    """
    epoch_ns = _epoch_ns(tables, log)
    if epoch_ns is None:
        return None
    phases = _phases(tables["timeline"])
    return {
        "schema_version": SCHEMA_VERSION,
        "status": DAMAGED,
        "epoch_ns": epoch_ns,
        "ended_s": max((phase["end_s"] for phase in phases), default=0.0),
        "phases": phases,
        "plan": {},
    }


def _epoch_ns(tables: Mapping[str, Table], log: bytes) -> int | None:
    """Return the epoch by the log, to the millisecond, or else the first instant on record."""
    if named := _EPOCH.search(log):
        return round(float(named[1]) * NS_PER_S)
    for table, column in _INSTANTS:
        instants = tables[table].frame[column].dropna()
        if len(instants):
            return int(instants.min())
    return None


def _phases(timeline: Table) -> list[dict[str, Any]]:
    """Return the phases by the seconds of the timeline that name them."""
    rows = timeline.frame.dropna(subset=["phase"])
    return [
        {"name": name, "start_s": float(seconds.min()), "end_s": float(seconds.max()) + 1}
        for name, seconds in rows.groupby("phase", sort=False)["second"]
    ]
