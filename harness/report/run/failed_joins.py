"""The table of joins that failed: for which cause, at which stage."""

from typing import Final

from harness.analysis.run import failed_joins as joining
from harness.analysis.run.record import Record
from harness.core.join_stages import JOIN_FAILURE_STAGES
from harness.report import formatting as q
from harness.report.definitions import capital
from harness.report.table_cells import Cell, Table

STAGE_NAMES: Final = {
    "tcp": "TCP",
    "tls": "TLS",
    "upgrade": "WebSocket upgrade",
    "init": "protocol init",
    "subscribe": "subscribe",
}
"""The stages of a join, for people."""

_CAUSE_NAMES: Final = {
    "refused": "Refused",
    "timed_out": "Timed out",
    "tls": "TLS",
    "http_status": "HTTP status",
    "throttled": "Throttled",
    "protocol_error": "Protocol error",
    "cut_off": "Cut off",
    "own_limit": "Own limit",
    "other": "Other",
}


def failed_joins(record: Record) -> Table:
    """Return a row for each cause of failed joins, with the stages at which they failed."""
    counts = joining.failed_joins(record.errors)
    stages = [stage for stage in JOIN_FAILURE_STAGES if stage in counts.columns]
    rows = [
        [
            Cell(_CAUSE_NAMES[cause]),
            *(Cell(q.count(int(counts.loc[cause, stage]))) for stage in stages),
            Cell(q.count(int(counts.loc[cause].sum()))),
        ]
        for cause in counts.index
    ]
    columns = ["Cause", *(capital(STAGE_NAMES.get(stage, stage)) for stage in stages), "All"]
    note = "Attempts, retries included, by the stage at which they failed, over the whole run."
    meanings = ("", *["joins.failed_by_cause"] * (len(columns) - 1))
    return Table("failed-joins", "Failed joins", note, columns, rows, meanings=meanings)
