"""``harness study``: run a matrix of systems and workloads, and report on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.cli.options import (
    REPORTS,
    Label,
    Locustfile,
    OutFolder,
    Tags,
    folder_exists,
    make_folder,
    readable_locustfile,
    scenario_argument,
)
from harness.cli.output import JSON, LOG_LEVEL, QUIET, give, note, report, takes
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
    """A cell with its runs, their analyses, and why runs are missing."""

    cell: "StudyCell"
    locustfile: Path
    runs: list[Path] = field(default_factory=list)
    judged: "dict[Path, Analysis]" = field(default_factory=dict)
    missing: str = ""


@takes(JSON, QUIET, LOG_LEVEL)
def study(
    file: Annotated[Path, scenario_argument("studies", "Study file or name.", "STUDY")],
    size: Annotated[
        Literal["small", "full"], typer.Option(metavar="small|full", help="Size of the runs.")
    ] = "small",
    out: OutFolder = None,
    repeats: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Runs per cell.  [default: from the study file]"),
    ] = None,
    *,
    label: Label = None,
    tags: Tags = None,
    again: Annotated[
        bool, typer.Option("--again", help="Repeat cells that have only invalid runs.")
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing; report on existing runs.")
    ] = False,
    locustfile: Locustfile = None,
) -> None:
    """Run every system of a study under every workload, and report on all runs.

    The default folder is reports/study-NAME-SIZE. Runs in it with an equal plan are not repeated,
    so an interrupted study resumes. A run that fails, is invalid or is refused does not stop the
    others; the report lists it. Writes report.html, summary.md and study.json.

    Exit code: 0 if all runs are complete and valid, whatever their result; 4 if not; 130 if
    interrupted.
    """
    from harness.analysis.decide.study import cells_of
    from harness.scenario.labels import read_labels
    from harness.scenario.study import load_study

    users, labels = readable_locustfile(locustfile), read_labels(label, tags)
    loaded = load_study(file)
    folder = out or REPORTS / f"study-{loaded.name}-{size}"
    count = repeats or loaded.repeats(size)
    tasks = [
        _Task(_sized(cell, labels), users, missing=cell.refusal)
        for cell in cells_of(loaded, file, size)
    ]
    if not folder_exists(folder) and not report_only:
        make_folder(folder)
    for task in tasks:
        _collect(task, folder / RUNS_FOLDER)
    interrupted = not report_only and _run_all(tasks, folder / RUNS_FOLDER, count, again=again)
    is_whole = _report(loaded, size, [_outcome(task, count) for task in tasks], folder)
    if interrupted:
        raise typer.Exit(int(ExitCode.INTERRUPTED))
    raise typer.Exit(int(ExitCode.PASS if is_whole else ExitCode.RUN_INVALID))


def _sized(cell: "StudyCell", labels: "Labels") -> "StudyCell":
    """Return a cell whose plan has its number of load processes, as a record's plan does."""
    from harness.load.sizing import size_plan
    from harness.measure.machine import read_machine

    plan = cell.plan and labels.on(size_plan(cell.plan, read_machine(), None)[0])
    return replace(cell, plan=plan)


def _collect(task: _Task, runs: Path) -> None:
    from harness.analysis.decide.study import find_runs

    task.runs = find_runs(runs, task.cell.plan) if task.cell.plan else []


def _run_all(tasks: Sequence[_Task], runs: Path, count: int, *, again: bool) -> bool:
    """Run what is missing, repeat by repeat; return whether the user interrupted it."""
    for repeat in range(1, count + 1):
        for place, task in enumerate(tasks, 1):
            plan = task.cell.plan
            label = f"[{place}/{len(tasks)}] {task.cell.name}"
            if plan is None:
                if repeat == 1:
                    note(f"{label}: refused\n{task.missing}")
            elif _is_done(task, repeat, again=again):
                note(f"{label}: already complete")
            else:
                note(f"{label}, run {repeat} of {count}")
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
    """Run a cell once; store any error for the report."""
    from harness.cli.new_folder import new_folder
    from harness.cli.run import carry_load, conclude, load_command
    from harness.load.sizing import size_plan
    from harness.measure.machine import read_machine

    folder = _new_folder(runs, task)
    try:
        _, workers = size_plan(plan, read_machine(), None)
        command = load_command(folder, workers, [], task.locustfile)
        with new_folder(folder):
            load, status = carry_load(command, plan, folder)
            code = conclude(load, status, folder, lambda folder: _judge(task, folder))
    except HarnessError as error:
        task.missing = str(error)
        report(error)
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
    from harness.report.summary_text import VERDICT_MARKS, VERDICT_WORDS, summary_text

    task.judged[folder] = analysis = make_report(folder)[0]
    verdict = analysis.summary["verdict"]
    note(f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}: {summary_text(analysis)}")
    return int(analysis.summary["exit_code"])


def _outcome(task: _Task, count: int) -> "Outcome":
    from harness.analysis.decide.study import Outcome
    from harness.analysis.run.finalize import analyse

    runs = [task.judged.get(folder) or analyse(folder) for folder in task.runs]
    # Valid runs come first where a cell was repeated.
    runs.sort(key=lambda run: run.summary["verdict"] == "invalid")
    missing = task.missing or (_NOT_RUN if len(runs) < count else "")
    return Outcome(task.cell.system, task.cell.workload, tuple(runs[:count]), count, missing)


def _report(loaded: "Study", size: str, outcomes: list["Outcome"], folder: Path) -> bool:
    from harness.analysis.decide.study import find
    from harness.report.decide.study_write import study_json, write_study
    from harness.report.write import MARKDOWN_FILE

    findings = find(loaded, size, outcomes)
    page = write_study(findings, folder)
    give(
        lambda: study_json(findings) | {"report": str(page)},
        lambda: _show(folder / MARKDOWN_FILE, page),
        lambda: f"report: {page}",
    )
    return findings.is_whole


def _show(summary: Path, page: Path) -> None:
    typer.echo(summary.read_text(encoding="utf-8").rstrip())
    typer.echo(f"\nreport: {page}")
