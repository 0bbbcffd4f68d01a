"""Reading a run record from its folder, whatever state the run left it in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pandas as pd

from harness.analysis.run.histograms import Histograms, read_histograms
from harness.analysis.run.ledger import connection_ledger, message_ledger
from harness.analysis.run.recovery import recover_run
from harness.analysis.run.tables import JOURNALS, PARQUET, Table, read_journal, read_parquet
from harness.core.clock import NS_PER_S
from harness.core.distribution import VERSION
from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode
from harness.core.system import installed_systems
from harness.measure.record import (
    HISTOGRAMS_FILE,
    JOURNAL_FOLDER,
    RUN_FILE,
    SCHEMA_VERSION,
)
from harness.measure.record_schema import RENAMED_COLUMNS

Json = dict[str, Any]

_HEAD_BYTES: Final = 4096
_ALWAYS_THERE: Final = ("epoch_ns",)
_THERE_WHEN_COMPLETED: Final = ("plan", "phases")
_KINDS: Final[dict[str, type]] = {
    "epoch_ns": int,
    "plan": dict,
    "environment": dict,
    "phases": list,
    "workers": list,
    "warnings": list,
}
"""What the parts of a ``run.json`` are where they are there."""

MEASURE: Final = "measure"
"""The phase that the summary's deliveries and latencies are about."""


class NoRecordError(HarnessError):
    """There is no run record in the folder that was named, or none that can be read."""

    exit_code = ExitCode.BAD_USAGE


class UnreadableRunError(NoRecordError):
    """A ``run.json`` is missing or damaged; the rest of its record may still be read."""


@dataclass(frozen=True)
class Record:
    """One run, as its record tells it.

    Attributes:
        folder: The run's own folder.
        run: ``run.json``.
        timeline: One second of one user class a row.
        generator: One second of one worker a row.
        messages: One message a row, with what it was owed.
        connections: One connection a row, with what it was owed.
        errors: One kind of error in one second of one worker a row.
        requests: One kind of request of ordinary Locust users in one second a row.
        histograms: Every latency distribution.
        problems: What is missing or damaged, in words.
        in_journal: Whether the tables still are a journal and not yet Parquet.
        lost: Names of the tables of which nothing could be read.
        is_salvaged: Whether ``run.json`` could not be read, so that ``run`` is made of the rest.
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
    is_salvaged: bool = False

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
        Without one of the three tables that say what was owed to whom, nobody knows.
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


def read_record(folder: Path) -> Record:
    """Read a record: from its journal while there is one, from Parquet afterwards.

    What is damaged or missing is left out and named in ``problems``; the rest is there.

    Raises:
        NoRecordError: If the folder holds nothing of a run, or one that this version cannot read.
    """
    histograms = read_histograms(folder / HISTOGRAMS_FILE)
    in_journal = (folder / JOURNAL_FOLDER).is_dir()
    tables = {} if in_journal else _from_parquet(folder)
    try:
        run, gone = read_run(folder), ""
    except UnreadableRunError as error:
        run = _salvaged(folder, tables, error)
        gone = (
            f"{RUN_FILE} is damaged" if (folder / RUN_FILE).is_file() else f"{RUN_FILE} is missing"
        )
    tables = _from_journal(folder, run) if in_journal else tables
    if "users" not in run:  # Of a version that knew no ordinary users, or nobody knows.
        tables["requests"] = Table(tables["requests"].frame, None)
    log_end = None if in_journal else _cut_log(histograms, tables["timeline"].frame)
    problems = [gone and f"{gone}: plan, objectives, environment and workers are unknown"]
    problems += [table.problem or "" for table in tables.values()]
    problems += [histograms.problem or "", log_end or ""]
    return Record(
        folder=folder,
        run=run,
        timeline=tables["timeline"].frame,
        generator=tables["generator"].frame,
        messages=tables["messages"].frame,
        connections=tables["connections"].frame,
        errors=tables["errors"].frame,
        requests=tables["requests"].frame,
        histograms=histograms,
        problems=tuple(problem for problem in problems if problem),
        in_journal=in_journal,
        lost=frozenset(name for name, table in tables.items() if table.is_lost),
        is_salvaged=bool(gone),
    )


def read_run(folder: Path) -> Json:
    """Read a record's ``run.json``.

    Raises:
        NoRecordError: If there is none, or it is not one this version can read.
    """
    path = folder / RUN_FILE
    try:
        run = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UnreadableRunError(
            str(folder), f"holds no {RUN_FILE}", "a run's own folder is needed", _which_folder()
        ) from None
    except OSError as error:
        raise NoRecordError(
            *(str(path), f"cannot be read ({(error.strerror or str(error)).lower()})"),
            *("a run's own folder is needed", _which_folder()),
        ) from None
    except orjson.JSONDecodeError as error:
        raise UnreadableRunError(
            str(path), f"is not JSON ({error})", "a run record is needed"
        ) from None
    _require_readable(path, run)
    return _with_current_names(run)


def _with_current_names(run: Json) -> Json:
    """Return a ``run.json`` whose figures have the names that this version gives them."""
    summary = run.get("summary")
    if not isinstance(summary, dict) or not isinstance(summary.get("deliveries"), dict):
        return run
    figures = {RENAMED_COLUMNS.get(key, key): value for key, value in summary["deliveries"].items()}
    return run | {"summary": summary | {"deliveries": figures}}


def _require_readable(path: Path, run: Any) -> None:
    """Refuse what another version wrote and say which one it was; refuse what is no record."""
    version = run.get("schema_version") if isinstance(run, dict) else None
    if not isinstance(version, int):
        required = "a JSON object with a schema_version is needed"
        raise UnreadableRunError(str(path), "is no run record", required, _which_folder())
    if version != SCHEMA_VERSION:
        raise _of_another_version(path, run, version)
    wrong = [key for key, kind in _KINDS.items() if not isinstance(run.get(key, kind()), kind)]
    needed = _ALWAYS_THERE + _THERE_WHEN_COMPLETED * (run.get("status") == "completed")
    wrong += [key for key in needed if key not in run]
    plan = {} if "plan" in wrong else run.get("plan", {})
    parts = ("workload", "target")
    wrong += [f"plan.{part}" for part in parts if not isinstance(plan.get(part, {}), dict)]
    if wrong:
        found = f"is damaged ({', '.join(wrong)} missing or of the wrong kind)"
        raise UnreadableRunError(str(path), found, "a run record is needed")


def _of_another_version(path: Path, run: Json, version: int) -> NoRecordError:
    environment = run.get("environment")
    versions = environment.get("versions") if isinstance(environment, dict) else None
    number = versions.get("fanout-harness") if isinstance(versions, dict) else None
    writer = f"harness {number}" if number else "an unknown version of the harness"
    newer = "this harness is older than the record: update it"
    return NoRecordError(
        str(path),
        f"has schema version {version}, written by {writer}",
        f"this harness ({VERSION}) reads version {SCHEMA_VERSION}",
        newer if version > SCHEMA_VERSION else f"read it with {writer}",
    )


def _salvaged(folder: Path, tables: dict[str, Table], error: NoRecordError) -> Json:
    """Return a stand-in for ``run.json``, or raise the error where there is nothing to show."""
    log = folder / HISTOGRAMS_FILE
    head = log.read_bytes()[:_HEAD_BYTES] if log.is_file() else b""
    has_rows = any(len(table.frame) for table in tables.values())
    run = recover_run(tables, head) if has_rows else None
    if run is None:
        raise error
    return run


def _cut_log(histograms: Histograms, timeline: pd.DataFrame) -> str | None:
    """Say from which second on a finished run's histograms are missing."""
    arrived = timeline.loc[(timeline["deliveries"] > 0).to_numpy(bool, na_value=False), "second"]
    last = max(histograms.by_second, default=-1)
    if histograms.problem is None and not histograms.by_tag and len(timeline):
        return f"{HISTOGRAMS_FILE} holds no histograms"
    if not len(arrived) or last >= int(arrived.max()) or not histograms.by_tag:
        return None
    return f"{HISTOGRAMS_FILE} ends at second {last} of {int(arrived.max())}"


def _which_folder() -> str:
    return "name one of the folders inside reports/, for example the newest: ls -t reports | head"


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
    messages = message_ledger(publishes.frame, arrivals.frame, counted.frame)
    end_ns = int(run["epoch_ns"]) + round(_ended_s(run, tables["timeline"].frame) * NS_PER_S)
    connections = connection_ledger(counted.frame, messages, end_ns)
    problems = [publishes.problem, arrivals.problem, _orphans(arrivals.frame, messages)]
    return tables | {
        "messages": Table(messages, "; ".join(filter(None, problems)) or None),
        "connections": Table(connections, counted.problem),
    }


def _lost_workers(run: Json) -> list[Json]:
    return [worker for worker in run.get("workers", []) if "lost_at_s" in worker]


def _of_others(table: Table, lost: list[int]) -> Table:
    return Table(table.frame[~table.frame["worker"].isin(lost)], table.problem)


def _published(arrivals: pd.DataFrame, publishes: pd.DataFrame) -> pd.DataFrame:
    """Return the arrivals of messages whose publish is on record."""
    key = ["stream", "sequence"]
    known = pd.MultiIndex.from_frame(publishes[key])
    return arrivals[pd.MultiIndex.from_frame(arrivals[key]).isin(known)]


def _from_parquet(folder: Path) -> dict[str, Table]:
    return {
        name: read_parquet(folder / f"{name}.parquet", schema) for name, schema in PARQUET.items()
    }


def _orphans(arrivals: pd.DataFrame, messages: pd.DataFrame) -> str | None:
    """Say how many messages arrived whose publish is not on record."""
    key = ["stream", "sequence"]
    arrived = pd.MultiIndex.from_frame(arrivals[key]).unique()
    orphans = len(arrived.difference(pd.MultiIndex.from_frame(messages[key])))
    return f"messages that arrived without a publish on record: {orphans}" if orphans else None


def _ended_s(run: Json, timeline: pd.DataFrame) -> float:
    if run.get("ended_s") is not None:
        return float(run["ended_s"])
    return float(timeline["second"].max()) + 1.0 if len(timeline) else 0.0
