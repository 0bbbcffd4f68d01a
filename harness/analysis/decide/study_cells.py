"""The cells of a study, and which runs on disk are theirs."""

from dataclasses import dataclass
from pathlib import Path

from harness.analysis.run.record import Json, NoRecordError, read_run
from harness.core.errors import HarnessError
from harness.measure.record import RUN_FILE
from harness.scenario.loading import load_plan
from harness.scenario.plan import Plan
from harness.scenario.shipped import scenario_named_in
from harness.scenario.study import Study, StudySystem, StudyWorkload, overrides_of

COMPLETED = "completed"


@dataclass(frozen=True)
class StudyCell:
    """One system under one workload.

    Attributes:
        system: The system.
        workload: The workload.
        plan: What is run; None where the files do not make a plan.
        refusal: Why they do not; empty where they do.
    """

    system: StudySystem
    workload: StudyWorkload
    plan: Plan | None
    refusal: str = ""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.workload.name} on {self.system.name}"


def cells_of(study: Study, file: Path, size: str) -> list[StudyCell]:
    """Return every cell of a study, workload by workload; a cell without a plan says why."""
    return [
        _cell(system, workload, file.parent, size)
        for workload in study.workloads
        for system in study.systems
    ]


def find_runs(folder: Path, plan: Plan) -> list[Path]:
    """Return the folders of runs that were completed with an equal plan, oldest first.

    Args:
        folder: Holds a folder for each run.
        plan: What such a run must have run, with the emulator's processes counted. Where its
            files lie changes nothing.
    """
    asked = _load(plan.recorded())
    found = []
    for file in sorted(folder.glob(f"*/{RUN_FILE}")):
        try:
            run = read_run(file.parent)
        except NoRecordError:
            continue
        if run.get("status") == COMPLETED and _load(run.get("plan", {})) == asked:
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
    """Return a file as people would write it: from the working directory, where it is inside."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _load(plan: Json) -> Json:
    return {part: plan.get(part) for part in ("workload", "target")}
