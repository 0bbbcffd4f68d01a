"""A run record for notebooks and scripts: its tables as frames, judged and compared."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from harness.analysis.decide.comparison import Difference
from harness.analysis.decide.history import compare_with_stored
from harness.analysis.run.finalize import Analysis, analyse, judge_again
from harness.analysis.run.run_file import label_of, runs_in, tags_of
from harness.analysis.run.slo import margin
from harness.core.load_differences import KINDS
from harness.scenario.shipped import scenario_file
from harness.scenario.slo_file import load_slos, read_slos

_SLO_COLUMNS: Final = (
    *("metric", "op", "limit", "phase", "user_class"),
    *("observed", "verdict", "margin"),
)


class RunRecord:
    """One run: its tables as pandas frames, its summary and its verdict.

    Frames have the columns of the record's tables (docs/measurement.md); changing one changes
    nothing on disk.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def __repr__(self) -> str:
        return f"RunRecord({str(self.folder)!r}, verdict={self.verdict!r})"

    @property
    def analysis(self) -> Analysis:
        """What the harness itself works with; private, and free to change."""
        return self._analysis

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self._analysis.record.folder

    @property
    def messages(self) -> pd.DataFrame:
        """One message a row: when it was due, sent and acknowledged, owed, delivered, lost."""
        return self._analysis.record.messages

    @property
    def connections(self) -> pd.DataFrame:
        """One connection a row: its join by stages, what it was owed and got, its end."""
        return self._analysis.record.connections

    @property
    def timeline(self) -> pd.DataFrame:
        """One second of one user class a row: counts, and percentiles in ms."""
        return self._analysis.record.timeline

    @property
    def errors(self) -> pd.DataFrame:
        """One kind of error in one second of one worker a row."""
        return self._analysis.record.errors

    @property
    def requests(self) -> pd.DataFrame:
        """One kind of request of ordinary Locust users in one second a row."""
        return self._analysis.record.requests

    @property
    def generator(self) -> pd.DataFrame:
        """One second of one worker a row: how the load generator itself was doing."""
        return self._analysis.record.generator

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of the run, as ``run.json`` has them."""
        return self._analysis.summary

    @property
    def verdict(self) -> str:
        """``pass``, ``fail``, ``no_data`` or ``invalid``."""
        return str(self.summary["verdict"])

    @property
    def exit_code(self) -> int:
        """What ``harness run`` exits with after such a run."""
        return int(self.summary["exit_code"])

    @property
    def plan(self) -> dict[str, Any]:
        """Workload and target that were run, as plain data."""
        return dict(self._analysis.record.run.get("plan", {}))

    @property
    def label(self) -> str:
        """The label of what was tested; empty where the run has none."""
        return label_of(self._analysis.record.run)

    @property
    def tags(self) -> dict[str, str]:
        """More about what was tested."""
        return tags_of(self._analysis.record.run)

    @property
    def epoch_ns(self) -> int:
        """Second 0 of the run, in the nanoseconds of the tables' ``…_ns`` columns."""
        return self._analysis.record.epoch_ns

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the record is missing or damaged, in words; empty where it is whole."""
        return self._analysis.record.problems


@dataclass(frozen=True)
class Judgement:
    """A run judged by objectives.

    Attributes:
        verdict: ``pass``, ``fail``, ``no_data`` or ``invalid``.
        exit_code: What ``harness check`` exits with.
        slos: One objective a row: its limit, what was observed, its own verdict, and how far
            inside its limit the run was.
    """

    verdict: str
    exit_code: int
    slos: pd.DataFrame


@dataclass(frozen=True)
class ComparedRuns:
    """Two sides of runs beside each other.

    Attributes:
        figures: One figure a row: both sides', their difference and ratio, each with the ends of
            its 95 % interval where it has one, and whether a difference is shown.
        sides: One side a row: name, label, target, runs.
        unlike: One key a row in which the runs differ that should be alike.
    """

    figures: pd.DataFrame
    sides: pd.DataFrame
    unlike: pd.DataFrame


Runs = RunRecord | str | Path
"""A record, or the folder of one."""


def read_record(folder: str | Path) -> RunRecord:
    """Read the record of a run and judge it by its own objectives; writes nothing.

    Raises:
        HarnessError: If the folder holds no readable record.
    """
    return RunRecord(analyse(Path(folder)))


def judge(run: Runs, slos: str | Path | Sequence[Mapping[str, Any]] | None = None) -> Judgement:
    """Judge a run by its own objectives or by others, as ``harness check`` does.

    The others are a file or name of SLOs, or the SLOs themselves, each with metric, op and limit
    and perhaps phase and user_class.

    Raises:
        HarnessError: If there is no record, or an objective does not validate.
    """
    analysis = _analysis(run)
    if slos is not None:
        if isinstance(slos, str | Path):
            found = load_slos(scenario_file("slos", str(slos)))
        else:
            found = read_slos("slos", slos)
        analysis = judge_again(analysis, [one.model_dump() for one in found])
    rows = [{**slo, "margin": margin(slo)} for slo in analysis.summary["slos"]]
    frame = pd.DataFrame(rows, columns=list(_SLO_COLUMNS))
    return Judgement(analysis.summary["verdict"], int(analysis.summary["exit_code"]), frame)


def compare(
    first: Runs | Sequence[Runs],
    other: Runs | Sequence[Runs],
    *,
    anyway: bool = False,
    allow: Collection[str] = (),
    history: str | Path | None = None,
) -> ComparedRuns:
    """Compare runs as ``harness compare`` does: one run or several of a kind on either side.

    Args:
        first: A run, or several of one thing: a list of them or the folder that holds them.
        other: What is compared with it.
        anyway: Compare runs whatever they differ in.
        allow: What they may differ in: workload, scale, seed, target, generator, verdict, record.
        history: Folder of runs, which show how far runs of the same thing are apart. Left out,
            that of the last run.

    Raises:
        HarnessError: If there is no record, or the runs are not alike.
    """
    sides = [[_analysis(one) for one in _several(side)] for side in (first, other)]
    place = None if history is None else Path(history)
    found = compare_with_stored(sides, KINDS if anyway else allow, place)
    rows = [
        {
            "name": side.name,
            "label": side.label,
            "target": side.runs[0].record.target.get("name"),
            "runs": [str(one.record.folder) for one in side.runs],
        }
        for side in found.sides
    ]
    return ComparedRuns(
        pd.DataFrame([_figure(one) for one in found.differences[0]]).set_index("metric"),
        pd.DataFrame(rows).set_index("name"),
        pd.DataFrame([one._asdict() for one in found.unlike], columns=["key", "found"]),
    )


def _analysis(run: Runs) -> Analysis:
    return run.analysis if isinstance(run, RunRecord) else analyse(Path(run))


def _several(side: Runs | Sequence[Runs]) -> Sequence[Runs]:
    if isinstance(side, str | Path):
        return runs_in(Path(side))
    return [side] if isinstance(side, RunRecord) else side


def _figure(one: Difference) -> dict[str, Any]:
    absolute, relative = one.absolute, one.relative
    return {
        "metric": one.metric,
        "first": one.first,
        "other": one.other,
        "difference": one.difference,
        "difference_low": absolute.low if absolute else None,
        "difference_high": absolute.high if absolute else None,
        "ratio": one.ratio,
        "ratio_low": relative.low if relative else None,
        "ratio_high": relative.high if relative else None,
        "is_shown": one.is_shown,
        "clock_error_ms": one.clock_error_ms,
    }
