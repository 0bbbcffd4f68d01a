"""Live progress of a run, read from its journal once a second."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.measure.record import RUN_FILE, read_run_file

PLAIN_LINE_EVERY_S = 5
"""Seconds of the run between two lines where stderr is no terminal."""

TIMELINE = Path("journal", "timeline.jsonl")
"""The journal of the timeline in the run's folder."""


class JournalTail:
    """Reads the rows added to a journal since the last read; it need not exist, now or later."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0

    def new_rows(self) -> list[dict[str, Any]]:
        """Return the rows completed since the last call; an incomplete last line waits."""
        try:
            with self._file.open("rb") as journal:
                journal.seek(self._offset)
                added = journal.read()
        except FileNotFoundError:
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [row for line in whole.splitlines() if (row := _parse_row(line)) is not None]


@dataclass(slots=True)
class ClassProgress:
    """Progress of one user class: rates of the last second, totals since the start."""

    connected: int = 0
    joins_per_s: int = 0
    joins_failed: int = 0
    publishes_per_s: int = 0
    deliveries_per_s: int = 0
    fan_out_p50_ms: float | None = None
    fan_out_p99_ms: float | None = None
    errors: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the timeline row of one second."""
        self.connected = row["connected"]
        self.joins_per_s = row["joins_succeeded"]
        self.joins_failed += row["joins_failed"]
        self.publishes_per_s = row["publishes_sent"]
        self.deliveries_per_s = row["deliveries"]
        self.fan_out_p50_ms = row["fan_out_latency_ms_p50"]
        self.fan_out_p99_ms = row["fan_out_latency_ms_p99"]
        self.errors += row["errors"]


@dataclass(slots=True)
class Progress:
    """Progress of a run.

    Attributes:
        total_s: Planned length, from the first join to the end of the drain.
        done_s: Complete seconds in the journal.
    """

    title: str
    total_s: float
    planned: Mapping[str, int]
    done_s: int = 0
    phase: str = "starting"
    warnings: tuple[str, ...] = ()
    stopping: bool = False
    classes: dict[str, ClassProgress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.classes = {user_class: ClassProgress() for user_class in self.planned}

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of the timeline: one second × user class."""
        self.done_s = max(self.done_s, row["second"] + 1)
        self.phase = row["phase"]
        self.classes.setdefault(row["user_class"], ClassProgress()).add(row)

    @property
    def stage(self) -> str:
        """The phase, or what follows the last one."""
        if self.stopping:
            return "stopping (a second Ctrl-C kills it)"
        return self.phase if self.done_s < self.total_s else "writing the report"

    @property
    def left_s(self) -> float:
        """Remaining planned seconds."""
        return max(0.0, self.total_s - self.done_s)


def plain_line(progress: Progress) -> str:
    """Return the progress as one line of text."""
    classes = progress.classes.values()
    connected = sum(each.connected for each in classes)
    slowest = [each.fan_out_p99_ms for each in classes if each.fan_out_p99_ms is not None]
    parts = (
        _clock(progress),
        progress.stage.replace("_", "-"),
        f"{connected:,} of {sum(progress.planned.values()):,} connected",
        f"{sum(each.deliveries_per_s for each in classes):,} deliveries/s",
        f"fan-out p99 {_milliseconds(max(slowest, default=None))}",
        f"{sum(each.errors for each in classes):,} errors",
    )
    return " | ".join(parts)


def table(progress: Progress) -> Group:
    """Return the progress as a headline, a bar and a column per user class."""
    headline = Text.assemble(
        (progress.title, "bold"),
        f"  {progress.stage.replace('_', '-')}, {_clock(progress)}",
        "" if progress.stopping else f", {progress.left_s:.0f} s left",
    )
    bar = Table.grid()  # A bare bar would not end its line.
    done_s = min(progress.done_s, progress.total_s)
    bar.add_row(ProgressBar(progress.total_s, done_s, width=60, complete_style="cyan"))
    warnings = (Text(f"warning: {warning}", style="yellow") for warning in progress.warnings)
    return Group(headline, bar, _class_table(progress), *warnings)


def _class_table(progress: Progress) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column()
    for user_class in progress.classes:
        grid.add_column(f"{user_class}s", justify="right", min_width=14)
    of_class = progress.classes.items()
    rows = {
        "connected": [
            f"{each.connected:,} of {progress.planned.get(k, 0):,}" for k, each in of_class
        ],
        "joins/s": [f"{each.joins_per_s:,}" for _, each in of_class],
        "joins failed": [f"{each.joins_failed:,}" for _, each in of_class],
        "publishes/s": [f"{each.publishes_per_s:,}" for _, each in of_class],
        "deliveries/s": [f"{each.deliveries_per_s:,}" for _, each in of_class],
        "fan-out p50": [_milliseconds(each.fan_out_p50_ms) for _, each in of_class],
        "fan-out p99": [_milliseconds(each.fan_out_p99_ms) for _, each in of_class],
        "errors": [f"{each.errors:,}" for _, each in of_class],
    }
    for name, cells in rows.items():
        grid.add_row(name, *cells)
    return grid


class ProgressDisplay:
    """Shows the progress on a console: a live table on a terminal, else a line every few seconds.

    Args:
        folder: The run's folder; it need not exist yet.
        console: Writes to stderr, because results go to stdout.
    """

    def __init__(self, progress: Progress, folder: Path, console: Console) -> None:
        self._progress = progress
        self._timeline = JournalTail(folder / TIMELINE)
        self._run_file = folder / RUN_FILE
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._shown = (-PLAIN_LINE_EVERY_S, "")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def update(self) -> None:
        """Read the new rows of the journal and show them."""
        rows = self._timeline.new_rows()
        for row in rows:
            self._progress.add(row)
        if rows:
            self._progress.warnings = run_warnings(self._run_file)
        if self._console.is_terminal:
            self._live.update(table(self._progress), refresh=True)
        elif rows:
            self._print_when_due()

    def _print_when_due(self) -> None:
        second, stage = self._shown
        now = (self._progress.done_s, self._progress.stage)
        if now[0] - second >= PLAIN_LINE_EVERY_S or now[1] != stage:
            self._shown = now
            self._console.print(plain_line(self._progress), highlight=False, soft_wrap=True)


def run_warnings(run_file: Path) -> tuple[str, ...]:
    """Return the warnings in a run's ``run.json`` as text."""
    warnings = read_run_file(run_file).get("warnings", ())
    return tuple(f"{each['code']}: {each['observed']}, limit {each['limit']}" for each in warnings)


def _parse_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _clock(progress: Progress) -> str:
    """Return the elapsed and the total time, without the time to close connections."""
    done_s = min(progress.done_s, progress.total_s)
    return f"{done_s:.0f} s of {progress.total_s:.0f} s"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
