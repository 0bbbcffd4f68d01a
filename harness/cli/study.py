"""``harness study``: run a matrix of systems and workloads, and answer a team's question."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.label_options import Label, Tags
from harness.cli.locustfile import Locustfile, readable
from harness.cli.out_folder import is_there, make_folder
from harness.cli.scenario_files import scenario_argument
from harness.core.errors import HarnessError, error_lines
from harness.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from harness.analysis.decide.study import Outcome, StudyCell
    from harness.analysis.run.finalize import Analysis
    from harness.scenario.labels import Labels
    from harness.scenario.plan import Plan
    from harness.scenario.study import Study

RUNS_FOLDER = "runs"
_NOT_RUN = "not run yet"


@dataclass
class _Task:
    """A cell, the runs it has, what is known of them already, and why it has no more."""

    cell: "StudyCell"
    locustfile: Path
    runs: list[Path] = field(default_factory=list)
    judged: "dict[Path, Analysis]" = field(default_factory=dict)
    missing: str = ""


WHICH_STUDY = scenario_argument(
    "studies", "Study, a file or a name: systems, workloads, requirements.", "STUDY"
)


def study(
    file: Annotated[Path, WHICH_STUDY],
    size: Annotated[
        Literal["small", "full"], typer.Option(metavar="small|full", help="How large to run it.")
    ] = "small",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="The study's folder.  [default: reports/study-NAME-SIZE]"
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Runs of each cell.  [default: the file's]"),
    ] = None,
    *,
    label: Label = None,
    tags: Tags = None,
    again: Annotated[
        bool, typer.Option("--again", help="Run once more what has only invalid runs.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: report on the runs there are.")
    ] = False,
    locustfile: Locustfile = None,
) -> None:
    """Run every system of a study under every workload, one after another, and report on them all.

    Runs that the study's folder already holds with an equal plan are not made again, so a study
    that was stopped goes on where it was. A run that fails, is invalid or is refused does not stop
    the others; the report tells. Writes report.html, summary.md and study.json.

    Exit code: 0 if every run is there and valid, whatever it found; 4 if not; 130 if interrupted.

    Raises:
        Exit: With the exit code.
        ScenarioError: If the study file is wrong.
    """
    # Late, because pandas and matplotlib take a second to load and other verbs need neither.
    from harness.analysis.decide.study import cells_of
    from harness.scenario.labels import read_labels
    from harness.scenario.study import load_study

    users, labels = readable(locustfile), read_labels(label, tags)
    loaded = load_study(file)
    folder = out or Path("reports") / f"study-{loaded.name}-{size}"
    count = repeats or loaded.repeats(size)
    tasks = [
        _Task(_sized(cell, labels), users, missing=cell.refusal)
        for cell in cells_of(loaded, file, size)
    ]
    if not is_there(folder) and not report_only:
        make_folder(folder)
    for task in tasks:
        _collect(task, folder / RUNS_FOLDER)
    interrupted = not report_only and _run_all(tasks, folder / RUNS_FOLDER, count, again=again)
    is_whole = _report(loaded, size, [_outcome(task, count) for task in tasks], folder)
    if interrupted:
        raise typer.Exit(int(ExitCode.INTERRUPTED))
    raise typer.Exit(int(ExitCode.PASS if is_whole else ExitCode.RUN_INVALID))


def _sized(cell: "StudyCell", labels: "Labels") -> "StudyCell":
    """Return a cell whose plan says, as a record does, how many processes this machine needs."""
    from harness.load.sizing import size_plan
    from harness.measure.machine import read_machine

    plan = cell.plan and labels.on(size_plan(cell.plan, read_machine(), None)[0])
    return replace(cell, plan=plan)


def _collect(task: _Task, runs: Path) -> None:
    from harness.analysis.decide.study import find_runs

    task.runs = find_runs(runs, task.cell.plan) if task.cell.plan else []


def _run_all(tasks: Sequence[_Task], runs: Path, count: int, *, again: bool) -> bool:
    """Run what is missing, repeat by repeat; return whether somebody stopped it."""
    for repeat in range(1, count + 1):
        for place, task in enumerate(tasks, 1):
            plan = task.cell.plan
            label = f"[{place}/{len(tasks)}] {task.cell.name}"
            if plan is None:
                if repeat == 1:
                    _tell(f"{label}: refused\n{task.missing}")
            elif _is_done(task, repeat, again=again):
                _tell(f"{label}: there already")
            else:
                _tell(f"{label}, run {repeat} of {count}")
                if _run_one(task, plan, runs) == ExitCode.INTERRUPTED:
                    return True
    return False


def _is_done(task: _Task, repeat: int, *, again: bool) -> bool:
    from harness.analysis.run.run_file import read_run

    if not again:
        return len(task.runs) >= repeat
    verdicts = [read_run(folder).get("verdict") for folder in task.runs]
    valid = [verdict for verdict in verdicts if verdict != "invalid"]
    return len(valid) >= repeat


def _run_one(task: _Task, plan: "Plan", runs: Path) -> int:
    """Run a cell once; whatever goes wrong is kept for the report."""
    from harness.cli.run import carry_load, conclude, load_command
    from harness.load.sizing import size_plan
    from harness.measure.machine import read_machine

    folder = _new_folder(runs, task)
    try:
        _, workers = size_plan(plan, read_machine(), None)
        command = load_command(folder, workers, [], task.locustfile)
        load, status = carry_load(command, plan, folder)
        code = conclude(load, status, folder, lambda folder: _judge(task, folder))
    except HarnessError as error:
        task.missing = str(error)
        _tell(f"error: {error}")
        return ExitCode.BAD_USAGE
    _collect(task, runs)
    why = error_lines(load.error) if load.error else f"ended with exit code {code}"
    why = "was interrupted" if code == ExitCode.INTERRUPTED else why
    task.missing = "" if folder in task.runs else why
    return code


def _new_folder(runs: Path, task: _Task) -> Path:
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{task.cell.workload.name}-{task.cell.system.name}"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 100)))
    return next(runs / name for name in names if not (runs / name).exists())


def _judge(task: _Task, folder: Path) -> int:
    """Make a run's report, print its verdict in a line or two, and return its exit code."""
    from harness.cli.report import make_report
    from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS, tell

    task.judged[folder] = analysis = make_report(folder)[0]
    verdict = analysis.summary["verdict"]
    _tell(f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}: {tell(analysis)}")
    return int(analysis.summary["exit_code"])


def _outcome(task: _Task, count: int) -> "Outcome":
    from harness.analysis.decide.study import Outcome
    from harness.analysis.run.finalize import analyse

    runs = [task.judged.get(folder) or analyse(folder) for folder in task.runs]
    # Runs that prove nothing give way to those that do, where a cell was run again.
    runs.sort(key=lambda run: run.summary["verdict"] == "invalid")
    missing = task.missing or (_NOT_RUN if len(runs) < count else "")
    return Outcome(task.cell.system, task.cell.workload, tuple(runs[:count]), count, missing)


def _report(loaded: "Study", size: str, outcomes: list["Outcome"], folder: Path) -> bool:
    from harness.analysis.decide.study import find
    from harness.report.decide.study_write import write_study

    findings = find(loaded, size, outcomes)
    page = write_study(findings, folder)
    typer.echo((folder / "summary.md").read_text(encoding="utf-8").rstrip())
    typer.echo(f"\nreport: {page}")
    return findings.is_whole


def _tell(text: str) -> None:
    typer.echo(text, err=True)
