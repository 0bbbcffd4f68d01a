"""Findings of a study: each of a team's needs, judged by runs, by quotas and by prices.

Every figure has its origin: an emulator on this machine, a real system, or a price list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.analysis.decide.comparability import Incompatibility, find_incompatibilities
from harness.analysis.decide.comparison import Comparison, compare
from harness.analysis.decide.study_paper import PaperFigure, SystemCost, cost_of_system, paper_of
from harness.analysis.run.clocks import below_clock_error
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import NoRecordError, read_run
from harness.analysis.run.slo import observe
from harness.analysis.run.summary import judge_part
from harness.core.errors import HarnessError
from harness.core.metrics import more_is_better
from harness.measure.record import RUN_FILE
from harness.scenario.loading import load_plan
from harness.scenario.plan import Plan
from harness.scenario.shipped import scenario_named_in
from harness.scenario.slo import Slo
from harness.scenario.study import Requirement, Study, StudySystem, StudyWorkload, overrides_of

Origin = Literal["emulator", "real", "paper"]
Standing = Literal["met", "held", "missed", "invalid", "unknown"]
"""Met at the size needed; held at a smaller one; missed; runs that prove nothing; no runs."""

REPLICATES: Final = 1000
"""Bootstrap draws for each pair of systems; a study has many pairs."""

_NEARLY: Final = 0.99
"""Of the size needed is enough to have been there: a Poisson schedule is never exact."""


@dataclass(frozen=True)
class StudyCell:
    """One system under one workload: its plan, or the refusal, why the files do not make one."""

    system: StudySystem
    workload: StudyWorkload
    plan: Plan | None
    refusal: str = ""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.workload.name} on {self.system.name}"


def cells_of(study: Study, file: Path, size: str) -> list[StudyCell]:
    """Return every cell of a study, workload by workload; a cell without a plan has the reason."""
    return [
        _cell(system, workload, file.parent, size)
        for workload in study.workloads
        for system in study.systems
    ]


def find_runs(folder: Path, plan: Plan) -> list[Path]:
    """Return the folders inside this one of runs completed with an equal plan, oldest first.

    The emulator's processes count as part of a plan. Where its files lie changes nothing.
    """
    asked = _load(plan.recorded())
    found = []
    for file in sorted(folder.glob(f"*/{RUN_FILE}")):
        try:
            run = read_run(file.parent)
        except NoRecordError:
            continue
        if run.get("status") == "completed" and _load(run.get("plan", {})) == asked:
            found.append((str(run.get("started_at")), file.parent))
    return [path for _, path in sorted(found)]


def _cell(system: StudySystem, workload: StudyWorkload, base: Path, size: str) -> StudyCell:
    overrides = overrides_of(size, workload, system)
    try:
        files = (
            scenario_named_in(base, "workloads", workload.workload),
            scenario_named_in(base, "targets", system.target),
        )
        plan = load_plan(*(_short(file.resolve()) for file in files), overrides=overrides)
    except HarnessError as error:
        return StudyCell(system, workload, None, str(error))
    return StudyCell(system, workload, plan)


def _short(file: Path) -> Path:
    """Return a file relative to the working directory where it is inside."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _load(plan: Json) -> Json:
    return {part: plan.get(part) for part in ("workload", "target")}


@dataclass(frozen=True)
class Outcome:
    """The judged runs of one cell, how many were planned, and why some of them are missing."""

    system: StudySystem
    workload: StudyWorkload
    runs: tuple[Analysis, ...]
    planned: int
    missing: str = ""

    @property
    def valid(self) -> tuple[Analysis, ...]:
        """The runs whose measurement can be trusted."""
        return tuple(one for one in self.runs if one.summary["verdict"] != "invalid")

    @property
    def origin(self) -> Origin:
        """The origin of its figures."""
        return origin_of(self.runs)


def origin_of(runs: Sequence[Analysis]) -> Origin:
    """Return the origin of the figures of runs."""
    return "emulator" if any(one.record.target.get("emulated") for one in runs) else "real"


@dataclass(frozen=True)
class Seen:
    """One figure of the summary, the worst of a cell's runs, and its origin.

    With the clocks' error where they cannot tell it from a shorter one.
    """

    metric: str
    value: float | None
    origin: Origin
    clock_error_ms: float | None = None


@dataclass(frozen=True)
class Assessment:
    """What is known about one requirement on one system.

    Attributes:
        standing: How it stands, by its runs.
        size: How much of what is needed was tried, in the need's own unit.
        judged: Each objective with its worst observation.
        paper: What follows from quotas and prices.
        origin: Origin of the measured figures; None where there are none.
    """

    requirement: Requirement
    system: StudySystem
    standing: Standing
    size: float | None
    needed: float
    judged: tuple[Json, ...]
    figures: tuple[Seen, ...]
    paper: tuple[PaperFigure, ...]
    origin: Origin | None


@dataclass(frozen=True)
class Contest:
    """One workload: the systems that have valid runs of it, beside the first of them."""

    workload: StudyWorkload
    systems: tuple[StudySystem, ...]
    comparison: Comparison | None
    unlike: tuple[Incompatibility, ...]


@dataclass(frozen=True)
class Findings:
    """The contents of a study's report."""

    study: Study
    size: str
    outcomes: tuple[Outcome, ...]
    answers: tuple[tuple[Assessment, ...], ...]
    contests: tuple[Contest, ...]
    costs: tuple[SystemCost, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every cell has all its runs, and all of them are valid."""
        return all(len(one.valid) >= one.planned for one in self.outcomes)


def find(study: Study, size: str, outcomes: Sequence[Outcome]) -> Findings:
    """Return the findings of a study's runs."""
    by_cell = {(one.workload.name, one.system.name): one for one in outcomes}
    costs = tuple(_cost(study, one, by_cell) for one in study.systems)
    answers = tuple(
        tuple(
            _answer(study, requirement, by_cell[requirement.workload, system.name], cost)
            for system, cost in zip(study.systems, costs, strict=True)
        )
        for requirement in study.requirements
    )
    contests = tuple(_contest(study, workload, outcomes) for workload in study.workloads)
    return Findings(study, size, tuple(outcomes), answers, contests, costs)


def worst(metric: str, values: Sequence[float | None], op: str = "") -> float | None:
    """Return the worst of some runs' observations; None as soon as one of them has none."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    less_is_worse = op.startswith(">") or (not op and more_is_better(metric))
    return min(known) if less_is_worse else max(known)


def _cost(
    study: Study, system: StudySystem, cells: Mapping[tuple[str, str], Outcome]
) -> SystemCost:
    steady = [one.workload for one in study.requirements if one.about == "messages"]
    names = steady or [study.workloads[0].name]
    runs = cells[names[0], system.name].valid
    target = next((r.record.target for name in names for r in cells[name, system.name].runs), {})
    return cost_of_system(study.need, system, str(target.get("system", "")), runs)


def _answer(study: Study, requirement: Requirement, cell: Outcome, cost: SystemCost) -> Assessment:
    runs = cell.valid or cell.runs
    judged = tuple(_judged(slo, runs) for slo in requirement.objectives) if runs else ()
    sizes = [found for run in runs if (found := _SIZES[requirement.about](run)) is not None]
    size, needed = min(sizes, default=None), _needed(study, requirement)
    is_full = size is not None and size >= _NEARLY * needed
    if requirement.about == "scale_up":  # The joins a second have to be those of the need, too.
        is_full = is_full and all(_joins_per_s(run) >= study.need.joins_per_s for run in runs)
    return Assessment(
        requirement,
        cell.system,
        _standing(requirement, cell, judged, cost, is_full=is_full),
        size,
        needed,
        judged,
        tuple(_seen(metric, runs, cell.origin) for metric in requirement.figures) if runs else (),
        paper_of(requirement.about, study.need, cell.system, cost),
        cell.origin if runs else None,
    )


def _judged(slo: Slo, runs: Sequence[Analysis]) -> Json:
    """Judge an objective by the worst of the runs; one without data has failed."""
    found = [judge_part(slo.model_dump(), run.record, run.summary) for run in runs]
    order = {"fail": 0, "no_data": 1, "pass": 2}
    verdict = min((one["verdict"] for one in found), key=lambda one: order[one])
    observed = worst(slo.metric, [one["observed"] for one in found], slo.op)
    # As in the run's own report: no latency below the clocks' error is quoted.
    worst_ones = [one for one in found if one["observed"] == observed]
    errors_ms = [one["clock_error_ms"] for one in worst_ones if "clock_error_ms" in one]
    judged = {**slo.model_dump(), "observed": observed, "verdict": verdict}
    return judged | {"clock_error_ms": max(errors_ms)} if errors_ms else judged


def _seen(metric: str, runs: Sequence[Analysis], origin: Origin) -> Seen:
    value = worst(metric, [observe(run.summary, metric) for run in runs])
    errors_ms = [below_clock_error(metric, value, run.summary) or 0.0 for run in runs]
    return Seen(metric, value, origin, max(errors_ms) or None)


def _standing(
    requirement: Requirement,
    cell: Outcome,
    judged: Sequence[Json],
    cost: SystemCost,
    *,
    is_full: bool,
) -> Standing:
    if not cell.runs:
        return "unknown"
    if not cell.valid:
        return "invalid"
    idle_costs = requirement.about == "scale_to_zero" and bool(cost.usd_idle)
    if idle_costs or any(one["verdict"] != "pass" for one in judged):
        return "missed"
    return "met" if is_full else "held"


def _needed(study: Study, requirement: Requirement) -> float:
    need = study.need
    return {
        "connected": need.connected,
        "messages": need.messages_per_s * need.connected,
        "chatters": need.chatters,
        "scale_up": need.connected,
        "scale_to_zero": need.connected,
    }[requirement.about]


def _connected(run: Analysis) -> float | None:
    """Users there at the peak; those who poll are subscribers and chatters too."""
    population = run.summary["population"]
    kinds = ("subscribers_peak", "chatters_peak")
    return float(sum(population.get(kind) or 0 for kind in kinds))


def _deliveries_per_s(run: Analysis) -> float | None:
    """Deliveries a second that were owed; how many arrive depends on the system."""
    seconds, owed = run.record.measured_s(), run.summary["deliveries"]["owed"]
    return owed / seconds if seconds and owed is not None else None


def _joins_per_s(run: Analysis) -> float:
    """Joins a second that were scheduled; how many succeed depends on the system."""
    workload = run.record.workload
    asked = [one.get("rate_per_s") or 0 for one in workload.get("disturbances", [])]
    return float(max([workload.get("joins", {}).get("rate_per_s") or 0, *asked]))


_SIZES: Final[Mapping[str, Callable[[Analysis], float | None]]] = {
    "connected": _connected,
    "messages": _deliveries_per_s,
    "chatters": lambda run: float(run.summary["population"]["chatters_peak"] or 0),
    "scale_up": _connected,
    "scale_to_zero": _connected,
}
"""What of a run is held against the need."""


def _contest(study: Study, workload: StudyWorkload, outcomes: Sequence[Outcome]) -> Contest:
    valid = [one for one in outcomes if one.workload.name == workload.name and one.valid]
    valid.sort(key=lambda one: one.system.name != study.baseline)
    sides = [one.valid for one in valid]
    if not sides:
        return Contest(workload, (), None, ())
    unlike = find_incompatibilities(sides)
    systems = tuple(one.system for one in valid)
    return Contest(workload, systems, compare(sides, unlike, REPLICATES), tuple(unlike))
