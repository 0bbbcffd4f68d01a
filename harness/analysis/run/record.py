"""Reading a run record from its folder, whatever state the run left it in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pandas as pd

from harness.analysis.run.histograms import Histograms, read_histograms
from harness.analysis.run.ledger import connection_ledger, message_ledger
from harness.analysis.run.run_file import UnreadableRunError, read_run
from harness.analysis.run.tables import JOURNALS, PARQUET, Table, read_journal, read_parquet
from harness.core.clock import NS_PER_S
from harness.core.metric_types import MEASURE
from harness.core.system import installed_systems
from harness.measure.record import HISTOGRAMS_FILE, JOURNAL_FOLDER, RUN_FILE, SCHEMA_VERSION

Json = dict[str, Any]

_HEAD_BYTES: Final = 4096
_EPOCH = re.compile(rb"#\[StartTime: (\d+\.\d+)")
_INSTANTS: Final = (("connections", "join_start_ns"), ("messages", "intended_ns"))

GROUND_TRUTH_FILE: Final = "emulator.json"

NO_LIMITS: Final = frozenset(("fault", "closed", "process_gone"))
"""Why an emulator drops deliveries other than for a limit: a fault, or a listener that is gone."""


@dataclass(frozen=True)
class Record:
    """One run, read from its record.

    Attributes:
        run: ``run.json``.
        timeline: One second of one user class a row.
        generator: One second of one worker a row.
        messages: One message a row, with what it was owed.
        connections: One connection a row, with what it was owed.
        errors: One kind of error in one second of one worker a row.
        requests: One kind of request of ordinary Locust users in one second a row.
        problems: What is missing or damaged, in words.
        in_journal: Whether the tables still are a journal and not yet Parquet.
        lost: Names of the tables of which nothing could be read.
        is_recovered: Whether ``run.json`` could not be read, so that ``run`` is made of the rest.
    """

    folder: Path
    run: Json
    timeline: pd.DataFrame
    generator: pd.DataFrame
    messages: pd.DataFrame
    connections: pd.DataFrame
    errors: pd.DataFrame
    requests: pd.DataFrame
    histograms: Histograms
    problems: tuple[str, ...]
    in_journal: bool
    lost: frozenset[str] = frozenset()
    is_recovered: bool = False

    @property
    def epoch_ns(self) -> int:
        """Run clock at second 0, in nanoseconds."""
        return int(self.run["epoch_ns"])

    @property
    def ended_s(self) -> float:
        """Seconds from the epoch to the end of the run, or to the last second on record."""
        return _ended_s(self.run, self.timeline)

    @property
    def phases(self) -> list[Json]:
        """The phases that were planned: name, start_s, end_s."""
        return list(self.run.get("phases", []))

    @property
    def workload(self) -> Json:
        """The workload of the plan, as plain data."""
        return dict(self.run.get("plan", {}).get("workload", {}))

    @property
    def target(self) -> Json:
        """The target of the plan, as plain data."""
        return dict(self.run.get("plan", {}).get("target", {}))

    @property
    def owed_own(self) -> bool:
        """Whether a chatter that subscribes is owed its own messages."""
        return _owed_own(self.run)

    @property
    def polling_classes(self) -> tuple[str, ...]:
        """The classes of users who poll; chatters who only publish do not."""
        listens = bool(self.workload.get("population", {}).get("chatters_subscribe", True))
        system = installed_systems().get(str(self.target.get("system")))
        classes = system.polling_classes if system else ()
        return tuple(name for name in classes if listens or name != "chatter")

    @property
    def is_complete(self) -> bool:
        """Whether every connection that joined is on record, so that what was owed is known.

        Connections are recorded when they close: a run that was killed has none of those open then.
        Without one of the three tables that determine what was owed, it is unknown.
        """
        if self.lost & {"timeline", "messages", "connections"}:
            return False
        joined = int(self.connections["joined"].sum())
        given_up = sum(int(worker["joined"]) for worker in self.lost_workers)
        return joined >= int(self.timeline["joins_succeeded"].sum()) - given_up

    @property
    def lost_workers(self) -> list[Json]:
        """The workers that were lost and that the run was allowed to go on without."""
        return _lost_workers(self.run)

    @property
    def measure_start_s(self) -> float | None:
        """Second of the run at which measuring began; None where it never did."""
        starts = [float(one["start_s"]) for one in self.phases if one["name"] == MEASURE]
        return starts[0] if starts and starts[0] < self.ended_s else None

    def measured_s(self) -> float:
        """Return for how many seconds the run was in its measure phase; 0 if it never was."""
        for phase in self.phases:
            if phase["name"] == MEASURE:
                return max(min(float(phase["end_s"]), self.ended_s) - float(phase["start_s"]), 0.0)
        return 0.0


def measured(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table's rows that belong to the measure phase."""
    return frame[(frame["phase"] == MEASURE).to_numpy(dtype=bool, na_value=False)]


def before_measuring(messages: pd.DataFrame) -> pd.DataFrame:
    """Return the messages meant for the time before the measure phase."""
    return messages[messages["phase"].isin(("join", "settle", "warm_up")).to_numpy(dtype=bool)]


def emulator_stats(record: Record) -> Json:
    """Return what the emulator counted; empty where there was none, or it kept none."""
    try:
        truth = orjson.loads((record.folder / GROUND_TRUTH_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    stats = truth.get("stats") if isinstance(truth, dict) else None
    return stats if isinstance(stats, dict) else {}


def dropped_at_limits(record: Record) -> dict[str, int]:
    """Return how many deliveries the emulator dropped at each of its limits.

    All phases count, because the emulator has none.
    """
    deliveries = emulator_stats(record).get("deliveries")
    dropped = deliveries.get("dropped") if isinstance(deliveries, dict) else None
    if not isinstance(dropped, dict):
        return {}
    return {cause: count for cause, count in dropped.items() if count and cause not in NO_LIMITS}


def read_record(folder: Path) -> Record:
    """Read a record: from its journal while there is one, from Parquet afterwards.

    What is damaged or missing is left out and named in ``problems``; the rest is there.

    Raises:
        NoRecordError: If the folder holds nothing of a run, or one that this version cannot read.
    """
    histograms = read_histograms(folder / HISTOGRAMS_FILE)
    in_journal = (folder / JOURNAL_FOLDER).is_dir()
    tables = {}
    if not in_journal:
        files = {name: folder / f"{name}.parquet" for name in PARQUET}
        tables = {name: read_parquet(file, PARQUET[name]) for name, file in files.items()}
    try:
        run, gone = read_run(folder), ""
    except UnreadableRunError:
        stand_in = _recovered(folder, tables)
        if stand_in is None:
            raise
        what = "damaged" if (folder / RUN_FILE).is_file() else "missing"
        run, gone = stand_in, f"{RUN_FILE} is {what}"
    tables = _from_journal(folder, run) if in_journal else tables
    if "users" not in run:  # Of a version that knew no ordinary users, or unknown.
        tables["requests"] = Table(tables["requests"].frame, None)
    log_end = None if in_journal else _cut_log(histograms, tables["timeline"].frame)
    problems = [gone and f"{gone}: plan, objectives, environment and workers are unknown"]
    problems += [table.problem or "" for table in tables.values()]
    problems += [histograms.problem or "", log_end or ""]
    return Record(
        folder=folder,
        run=run,
        **{name: table.frame for name, table in tables.items()},
        histograms=histograms,
        problems=tuple(problem for problem in problems if problem),
        in_journal=in_journal,
        lost=frozenset(name for name, table in tables.items() if table.is_lost),
        is_recovered=bool(gone),
    )


def _recovered(folder: Path, tables: Mapping[str, Table]) -> Json | None:
    """Return a stand-in for ``run.json``; None where nothing of a run is left."""
    has_rows = any(len(table.frame) for table in tables.values())
    epoch_ns = _epoch_ns(tables, folder / HISTOGRAMS_FILE) if has_rows else None
    if epoch_ns is None:
        return None
    phases = _phases(tables["timeline"])
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "damaged",
        "epoch_ns": epoch_ns,
        "ended_s": max((phase["end_s"] for phase in phases), default=0.0),
        "phases": phases,
        "plan": {},
    }


def _epoch_ns(tables: Mapping[str, Table], log: Path) -> int | None:
    """Return the epoch by the log, to the millisecond, or else the first instant on record."""
    head = log.read_bytes()[:_HEAD_BYTES] if log.is_file() else b""
    if named := _EPOCH.search(head):
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


def _cut_log(histograms: Histograms, timeline: pd.DataFrame) -> str | None:
    """Return in words from which second on a finished run's histograms are missing."""
    arrived = timeline.loc[(timeline["deliveries"] > 0).to_numpy(bool, na_value=False), "second"]
    last = max(histograms.by_second, default=-1)
    if histograms.problem is None and not histograms.by_tag and len(timeline):
        return f"{HISTOGRAMS_FILE} holds no histograms"
    if not len(arrived) or last >= int(arrived.max()) or not histograms.by_tag:
        return None
    return f"{HISTOGRAMS_FILE} ends at second {last} of {int(arrived.max())}"


def _from_journal(folder: Path, run: Json) -> dict[str, Table]:
    journal = folder / JOURNAL_FOLDER
    tables = {
        name: read_journal(journal / f"{name}.jsonl", schema) for name, schema in JOURNALS.items()
    }
    publishes, arrivals = tables.pop("publishes"), tables.pop("arrivals")
    # What a lost worker's users got is known in part only, and so is what it sent last.
    lost = [worker["index"] for worker in _lost_workers(run)]
    if lost:
        arrivals = _of_others(arrivals, lost)
        arrivals = Table(_published(arrivals.frame, publishes.frame), arrivals.problem)
        tables["connections"] = _of_others(tables["connections"], lost)
    counted = tables["connections"]
    owed_own = _owed_own(run)
    messages = message_ledger(publishes.frame, arrivals.frame, counted.frame, owed_own=owed_own)
    end_ns = int(run["epoch_ns"]) + round(_ended_s(run, tables["timeline"].frame) * NS_PER_S)
    connections = connection_ledger(counted.frame, messages, end_ns, owed_own=owed_own)
    problems = [publishes.problem, arrivals.problem, _orphans(arrivals.frame, messages)]
    return tables | {
        "messages": Table(messages, "; ".join(filter(None, problems)) or None),
        "connections": Table(connections, counted.problem),
    }


def _owed_own(run: Json) -> bool:
    return bool(run.get("plan", {}).get("target", {}).get("chatters_owed_own", True))


def _lost_workers(run: Json) -> list[Json]:
    return [worker for worker in run.get("workers", []) if "lost_at_s" in worker]


def _of_others(table: Table, lost: list[int]) -> Table:
    return Table(table.frame[~table.frame["worker"].isin(lost)], table.problem)


def _published(arrivals: pd.DataFrame, publishes: pd.DataFrame) -> pd.DataFrame:
    """Return the arrivals of messages whose publish is on record."""
    key = ["stream", "sequence"]
    known = pd.MultiIndex.from_frame(publishes[key])
    return arrivals[pd.MultiIndex.from_frame(arrivals[key]).isin(known)]


def _orphans(arrivals: pd.DataFrame, messages: pd.DataFrame) -> str | None:
    """Return in words how many messages arrived whose publish is not on record."""
    key = ["stream", "sequence"]
    arrived = pd.MultiIndex.from_frame(arrivals[key]).unique()
    orphans = len(arrived.difference(pd.MultiIndex.from_frame(messages[key])))
    return f"messages that arrived without a publish on record: {orphans}" if orphans else None


def _ended_s(run: Json, timeline: pd.DataFrame) -> float:
    if run.get("ended_s") is not None:
        return float(run["ended_s"])
    return float(timeline["second"].max()) + 1.0 if len(timeline) else 0.0
