"""The table of what was done to the system, and how it took it."""

from typing import Final

from harness.analysis.run.disturbances import objectives_on_p99
from harness.analysis.run.record import Json
from harness.report import formatting as q
from harness.report.glossary import capital
from harness.report.table_cells import Cell, Table

_MEANINGS: Final = (
    *("", "", "time", "time", "fan_out_latency_ms", "errors.count", "deliveries.lost"),
    "recovery_s",
)


def disturbed(summary: Json) -> Table:
    """Return the disturbances with their effects, under the numbers that charts show."""
    has_objective = bool(objectives_on_p99(summary["slos"]))
    rows = [
        [
            Cell(f"{number} {one['name']}"),
            Cell(capital(str(one["kind"]).replace("_", " "))),
            Cell(q.seconds(one["start_s"])),
            Cell(q.seconds(round(one["end_s"] - one["start_s"], 1))),
            Cell(q.milliseconds(one["fan_out_p99_ms_peak"])),
            Cell(q.count(one["disconnects"])),
            Cell(q.count(one["lost"])),
            _recovery(one["recovery_s"], has_objective=has_objective),
        ]
        for number, one in enumerate(summary["disturbances"], 1)
    ]
    columns = [
        *("Disturbance", "Kind", "From", "Length", "Worst p99", "Hung up", "Lost", "Recovery"),
    ]
    note = (
        "Effects count until the next disturbance begins. Recovery is from the disturbance's end "
        "until fan-out p99 is back inside its objective for five seconds with deliveries."
    )
    if not has_objective:
        note += " No objective on fan-out p99 says what recovered means."
    return Table("disturbances", "Disturbances", note, columns, rows, texts=2, meanings=_MEANINGS)


def _recovery(recovery_s: float | None, *, has_objective: bool) -> Cell:
    if recovery_s is None:
        return Cell("not seen" if has_objective else q.MISSING)
    return Cell(q.seconds(round(recovery_s, 1)) if recovery_s else "at once")
