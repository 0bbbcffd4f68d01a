"""The runs of a sweep, each in its own folder inside the sweep's folder."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.new_folder import new_folder
from harness.cli.options import PACKAGED_LOCUSTFILE, folder_exists, make_folder, usage_error
from harness.cli.report import make_report
from harness.cli.run import load_command, run_load
from harness.core.errors import HarnessError, MachineError, ScenarioError
from harness.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from harness.analysis.decide.sweep import SweepStep
    from harness.analysis.run.finalize import Analysis
    from harness.measure.machine import Machine
    from harness.scenario.axes import Axis
    from harness.scenario.labels import Labels
    from harness.scenario.loading import ScenarioFiles
    from harness.scenario.plan import Plan

_JOINING_S = 2.0
"""Minimum duration of the joins; a join rate is meaningless over less."""
_CEILING_RATIO = 1.01
"""Precision of the highest load that the machine carries."""
_FURTHEST = 2.0**30


class SweepStoppedError(HarnessError):
    """A step ended without a verdict on the system, so the sweep stops."""

    def __init__(self, folder: Path, code: int) -> None:
        super().__init__(
            str(folder),
            f"ended with exit code {code}",
            "a step must be measured to its end",
            "see its output above; the same command resumes from here",
        )
        self.code = code


@dataclass(frozen=True)
class StepRunner:
    """Plans and runs steps, and finds those that were run before.

    Attributes:
        overrides: ``key=value`` each, as on the command line.
        fixed: Loads on the other axes of the grid.
        workers: Number of load processes; None for as many as a step needs.
    """

    files: "ScenarioFiles"
    overrides: Sequence[str]
    axis: "Axis"
    fixed: Mapping["Axis", float]
    folder: Path
    machine: "Machine"
    workers: int | None
    labels: "Labels"
    force: bool
    locust_arguments: Sequence[str]
    locustfile: Path = PACKAGED_LOCUSTFILE

    def plan(self, load: float, repeat: int = 0) -> "Plan":
        """Return the plan of a step.

        Args:
            load: In the axis's unit.
            repeat: How often this load was run before; each repeat has its own seed.

        Raises:
            ScenarioError: If the workload cannot have such a load.
        """
        made = list(self.overrides)
        for axis, value in [*self.fixed.items(), (self.axis, load)]:
            plan = self.files.plan(made)
            made.append(axis.override(plan.workload, value))
        plan = self.files.plan(made)
        if repeat:
            made.append(f"seed={(plan.workload.seed + repeat) % 2**32}")
            plan = self.files.plan(made)
        return self.labels.on(plan)

    def refusal(self, load: float) -> HarnessError | None:
        """Return why this machine or workload cannot carry a load; None where it can."""
        from harness.load.sizing import size_or_refuse
        from harness.scenario.axes import JOINS

        try:
            plan = self.plan(load)
        except ScenarioError as error:
            return error
        longest = plan.users / _JOINING_S
        if JOINS in {self.axis, *self.fixed} and plan.workload.joins.rate_per_s > longest:
            rule = f"must be at most {longest:g}: {plan.users:,} users must join for at least 2 s"
            found = f"{plan.workload.joins.rate_per_s:g} 1/s"
            hint = "raise population.subscribers, for example with --set"
            return usage_error("sweep: joins.rate_per_s", found, rule, hint)
        try:
            size_or_refuse(plan, self.machine, self.workers, force=self.force)
        except MachineError as error:
            return error
        return None

    def most(self, start: float) -> float:
        """Return the highest load that this machine carries, within one percent."""
        low = high = start
        while high < start * _FURTHEST and self.refusal(high) is None:
            low, high = high, high * 2
        while high / low > _CEILING_RATIO and high < start * _FURTHEST:
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.refusal(middle) is None else (low, middle)
            if self.axis.is_whole and high - low <= 1:
                break
        return float(int(low)) if self.axis.is_whole else low

    def step(self, load: float, repeat: int) -> "SweepStep":
        """Return the step at a load: read from disk, or else run now.

        Raises:
            SweepStoppedError: If its run ended without a verdict.
        """
        from harness.analysis.decide.sweep import judge_step
        from harness.analysis.run.finalize import analyse
        from harness.load.sizing import size_plan

        plan = self.plan(load, repeat)
        sized, count = size_plan(plan, self.machine, self.workers)
        folder = self._found(sized)
        analysis = analyse(folder) if folder else self._run(plan, count, load)
        return judge_step(analysis, plan.workload, self.axis, load)

    def _run(self, plan: "Plan", workers: int, load: float) -> "Analysis":
        folder = self._new_folder(load)
        arguments = [*(["--force"] if self.force else []), *self.locust_arguments]
        command = load_command(folder, workers, arguments, self.locustfile)
        judged: list[Analysis] = []

        def judge(folder: Path) -> int:
            judged.append(make_report(folder)[0])
            return int(judged[0].summary["exit_code"])

        with new_folder(folder):
            code = run_load(command, plan, folder, make_report=judge)
        unfinished = {ExitCode.INTERNAL_ERROR, ExitCode.BAD_USAGE, ExitCode.INTERRUPTED}
        if code in unfinished or not judged:
            raise SweepStoppedError(folder, code)
        return judged[0]

    def _found(self, plan: "Plan") -> Path | None:
        """Return the folder of a finished run of an equal plan."""
        wanted = plan.recorded()
        found = (one for one, run in _finished_runs(self.folder) if run["plan"] == wanted)
        return next(found, None)

    def _new_folder(self, load: float) -> Path:
        parts = [f"{axis.name}-{value:g}" for axis, value in self.fixed.items()]
        name = "-".join([*parts, f"{self.axis.name}-{load:g}"])
        taken = (re.match(r"\d+(?=-)", one.name) for one in self.folder.iterdir())
        number = 1 + max((int(found[0]) for found in taken if found), default=0)
        return self.folder / f"{number:02d}-{name}"


def _finished_runs(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    from harness.analysis.run.run_file import NoRecordError, read_run

    for one in sorted(folder.iterdir()):
        try:
            run = read_run(one)
        except NoRecordError:
            continue
        if run.get("verdict") and run.get("status") != "interrupted" and "plan" in run:
            yield one, run


def open_folder(folder: Path, mark: str) -> None:
    """Create the sweep's folder, or open that of an earlier sweep, which holds the file ``mark``.

    Raises:
        MachineError: If it is another folder, or cannot be written.
    """
    if folder_exists(folder) and not (folder / mark).is_file():
        raise MachineError(
            str(folder),
            f"exists already and holds no {mark}",
            "a new folder or that of a sweep is required",
            "choose another --out",
        )
    make_folder(folder)
