"""How figures went over the runs that are stored, series by series of like runs.

Only ``run.json`` is read, so that hundreds of records take seconds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.analysis.decide.between_runs import StoredRun
from harness.analysis.decide.comparability import load_of, refuse_unlike
from harness.analysis.decide.comparison import METRICS as COMPARED
from harness.analysis.decide.comparison import Comparison, Difference, compare
from harness.analysis.run.clocks import error_of
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import NoRecordError, label_words, read_run
from harness.analysis.run.slo import observe
from harness.analysis.run.tables import PARQUET
from harness.core.load_differences import differences
from harness.measure.record import HISTOGRAMS_FILE, JOURNAL_FOLDER, RUN_FILE

METRICS: Final = (
    "fan_out_latency_ms.p50",
    "fan_out_latency_ms.p99",
    "deliveries.ratio",
    "joins.latency_ms.p99",
)
"""The figures shown by default."""

_WHERE: Final = "runs are kept in reports/, each in its own folder"
_UNKNOWN_REVISION: Final = "unknown"


@dataclass(frozen=True)
class Point:
    """One run in a history.

    Attributes:
        revision: The harness's git revision.
        tested: What it tested, in the user's words: label and tags.
        values: The chosen figures; None where one was not measured.
        errors_ms: How wrong the workers' clocks may make each of them; 0 for not at all.
        load: What was run and on what, as dotted keys.
    """

    folder: Path
    run_id: str
    started: datetime
    revision: str
    tested: str
    verdict: str
    values: Mapping[str, float | None]
    errors_ms: Mapping[str, float]
    load: Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """Like runs, oldest first.

    Attributes:
        name: Workload and target.
        apart: In what it differs from the first series of that name; empty for the first.
    """

    name: str
    apart: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def knows_revisions(self) -> bool:
        """Whether the revision of any run is known; those of an installed wheel are not."""
        return any(point.revision != _UNKNOWN_REVISION for point in self.points)

    def change(self, metric: str) -> Difference | None:
        """Return the last valid run's figure beside the median of those before it."""
        known = [
            (value, point.errors_ms[metric])
            for point in self.points
            if point.verdict != "invalid" and (value := point.values[metric]) is not None
        ]
        if len(known) < 2:  # noqa: PLR2004 - one and a next
            return None
        (*before, last), (*errors_ms, last_error_ms) = zip(*known, strict=True)
        return Difference(metric, median(before), last, errors_ms=(max(errors_ms), last_error_ms))


@dataclass(frozen=True)
class History:
    """Every series of a folder, and the records that could not be used, with the reason."""

    folder: Path
    metrics: tuple[str, ...]
    series: tuple[Series, ...]
    skipped: tuple[tuple[Path, str], ...]


def read_history(folder: Path, metrics: Sequence[str] = METRICS) -> History:
    """Read every record below a folder.

    Raises:
        NoRecordError: If there is none.
    """
    folders = {file.parent for file in folder.rglob(RUN_FILE)}
    folders |= {file.parent for file in folder.rglob(HISTOGRAMS_FILE)}
    if not folders:
        raise NoRecordError(
            str(folder), "holds no run record", "a folder of runs is needed", _WHERE
        )
    points, skipped = [], []
    for one in sorted(folders):
        found = _point(one, metrics)
        if isinstance(found, Point):
            points.append(found)
        else:
            skipped.append((one, found))
    points.sort(key=lambda point: (point.started, point.folder))
    return History(folder, tuple(metrics), _series(points), tuple(skipped))


def stored_runs(folder: Path, metrics: Sequence[str]) -> list[StoredRun]:
    """Return the valid runs directly below a folder, oldest first.

    Args:
        folder: Where runs are kept, such as reports/; it may be missing.
        metrics: The figures to read.
    """
    folders = sorted(file.parent for file in folder.glob(f"*/{RUN_FILE}"))
    points = [one for path in folders if isinstance(one := _point(path, metrics), Point)]
    points.sort(key=lambda point: (point.started, point.folder))
    return [
        StoredRun(one.run_id, one.load, one.values) for one in points if one.verdict != "invalid"
    ]


def compare_with_stored(
    sides: Sequence[Sequence[Analysis]], allowed: Collection[str], folder: Path | None
) -> Comparison:
    """Compare sides of runs with the first, beside the stored runs of a folder.

    Args:
        sides: The runs of each side.
        allowed: Kinds of differences that are not refused.
        folder: Where runs are kept; None for the folder that the last run is in.

    Raises:
        IncomparableRunsError: If the sides differ in more than that.
    """
    unlike = refuse_unlike(sides, allowed)
    folder = folder or sides[-1][-1].record.folder.resolve().parent
    return compare(sides, unlike, stored=stored_runs(folder, COMPARED))


def _point(folder: Path, metrics: Sequence[str]) -> Point | str:
    """Return a record as a point, or why it is none."""
    try:
        run = read_run(folder)
    except NoRecordError as error:
        return error.found
    if damage := _damage(folder, run):
        return damage
    summary = run.get("summary")
    if not isinstance(summary, dict):
        return f"was not judged; first run: harness report {folder}"
    try:
        started = datetime.fromisoformat(str(run.get("started_at")))
        started = started if started.tzinfo else started.replace(tzinfo=UTC)
    except ValueError:
        return "does not say when it began"
    return Point(
        folder,
        str(run.get("run_id")),
        started,
        str(run.get("environment", {}).get("git_revision") or _UNKNOWN_REVISION),
        label_words(run),
        str(summary.get("verdict")),
        {metric: observe(summary, metric) for metric in metrics},
        {metric: error_of(metric, summary) for metric in metrics},
        {"name": _name(run), **load_of(run)},
    )


def _damage(folder: Path, run: Json) -> str:
    """Return what a finished record lacks; empty where it is whole, or still a journal."""
    if (folder / JOURNAL_FOLDER).is_dir():
        return ""
    for name in PARQUET:
        if name == "requests" and "users" not in run:
            continue  # Of a version that knew no ordinary users.
        file = folder / f"{name}.parquet"
        try:
            pq.read_metadata(file)
        except FileNotFoundError:
            return f"{file.name} is missing"
        except (OSError, pa.ArrowException):
            return f"{file.name} cannot be read"
    log = folder / HISTOGRAMS_FILE
    if not log.is_file():
        return f"{log.name} is missing"
    try:
        return "" if log.read_bytes()[-1:] == b"\n" else f"{log.name} is cut"
    except OSError:
        return f"{log.name} cannot be read"


def _name(run: Json) -> str:
    plan = run.get("plan", {})
    names = (plan.get(part, {}).get("name", "unknown") for part in ("workload", "target"))
    return " on ".join(names)


def _series(points: Sequence[Point]) -> tuple[Series, ...]:
    groups: list[list[Point]] = []
    for point in points:
        like = (group for group in groups if not differences(group[-1].load, point.load))
        group = next(like, None)
        if group is None:
            groups.append([point])
        else:
            group.append(point)
    first: dict[str, Point] = {}
    for group in groups:
        first.setdefault(group[0].load["name"], group[0])
    return tuple(
        Series(name, tuple(differences(first[name].load, group[0].load)), tuple(group))
        for group in groups
        for name in (str(group[0].load["name"]),)
    )
