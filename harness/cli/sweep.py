"""``harness sweep``: raise the load step by step until the system breaks, and say where."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from harness.cli.label_options import Label, Tags
from harness.cli.locustfile import Locustfile, readable
from harness.cli.run import Force, Workers
from harness.cli.scenario_files import TargetFile, WorkloadFile, scenario_option
from harness.cli.sweep_runs import StepRunner, SweepStoppedError, open_folder
from harness.core.errors import HarnessError, ScenarioError, ScenarioProblem
from harness.core.exit_codes import ExitCode
from harness.scenario.shipped import shipped_file

if TYPE_CHECKING:
    from harness.analysis.decide.capacity import Cell
    from harness.analysis.decide.sweep import Resolution, Search, SweepStep
    from harness.scenario.axes import Axis
    from harness.scenario.plan import Plan
    from harness.scenario.workload import Workload

JSON_FILE = "sweep.json"
HTML_FILE = "sweep.html"
REFERENCE = shipped_file("workloads", "reference-burst")
_FINEST_RATIO = 0.001
_MOST_CELLS = 64
Along = Annotated[
    str,
    typer.Option(
        help="What is raised: subscribers, publish-rate, deliveries or joins.", metavar="AXIS"
    ),
]
Start = Annotated[
    float | None,
    typer.Option("--from", help="First load.  [default: the workload's own]", metavar="LOAD"),
]
Most = Annotated[
    float | None,
    typer.Option(
        "--to", help="Highest load.  [default: what this machine carries]", metavar="LOAD"
    ),
]
Step = Annotated[
    str,
    typer.Option(
        metavar="STEP", help="How finely the capacity is wanted: 5%, or in the load's own unit."
    ),
]
Factor = Annotated[
    float, typer.Option(metavar="N", help="By how much the load grows until something breaks.")
]
Repeats = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="Runs at each side of the edge, of which the majority counts."
    ),
]
MaxSteps = Annotated[
    int, typer.Option(metavar="N", min=1, help="Most runs of a search, repeated ones included.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        help="Search once for each of these loads along another axis. Repeatable.",
        metavar="AXIS=LOAD,LOAD",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="The sweep's own folder; one that was interrupted goes on.  "
        "[default: a new one in reports/]",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a field, as in run. Repeatable."),
]
Reference = Annotated[
    Path | None,
    scenario_option(
        "workloads",
        "Workload to state the headroom against.  [default: the reference load, with its bursts]",
    ),
]
LocustArguments = Annotated[
    list[str] | None, typer.Option("--locust-arg", metavar="ARG", help="As in run. Repeatable.")
]


def sweep(
    workload: WorkloadFile,
    target: TargetFile,
    *,
    along: Along = "deliveries",
    start: Start = None,
    most: Most = None,
    step: Step = "5%",
    factor: Factor = 2.0,
    repeats: Repeats = 1,
    max_steps: MaxSteps = 16,
    grid: Grid = None,
    out: Out = None,
    overrides: Overrides = None,
    workers: Workers = None,
    reference: Reference = None,
    label: Label = None,
    tags: Tags = None,
    force: Force = False,
    locustfile: Locustfile = None,
    locust_arguments: LocustArguments = None,
) -> None:
    """Find the capacity of a system: the highest load at which every SLO holds.

    Grows the load until something breaks, then bisects. Each step is a run of its own inside the
    sweep's folder. Tells a system that broke from a load generator that broke: then the capacity
    is only a lower bound. Exit code: 0 capacity found, 3 no step held, 4 the generator broke
    first, 130 interrupted; the same command with the same --out goes on.

    Raises:
        Exit: Always, with the sweep's exit code.
        ScenarioError: If the arguments make no sense.
    """
    from harness.measure.machine import read_machine
    from harness.scenario.labels import read_labels
    from harness.scenario.loading import ScenarioFiles, load_workload

    axis = _axis("--along", along)
    files = ScenarioFiles(workload, target)
    plan = files.plan(overrides or ())
    compared_with = load_workload(reference or REFERENCE)
    runner = StepRunner(
        files=files,
        overrides=overrides or (),
        axis=axis,
        fixed={},
        folder=out or _new_folder(plan),
        machine=read_machine(),
        workers=workers,
        labels=read_labels(label, tags),
        force=force,
        locust_arguments=locust_arguments or (),
        locustfile=readable(locustfile),
    )
    begin = axis.load_of(plan.workload) if start is None else start
    limits = most, _resolution(step), factor, repeats, max_steps
    runners = [replace(runner, fixed=fixed) for fixed in _cells(grid or (), axis)]
    searches = [(one, _search(one, begin, *limits)) for one in runners]
    open_folder(runner.folder, JSON_FILE)
    raise typer.Exit(_sweep(searches, (plan.workload.name, plan.target.name), compared_with))


def _new_folder(plan: "Plan") -> Path:
    from harness.measure.record import folder_name

    names = (f"sweep-{plan.workload.name}", plan.target.name)
    return Path("reports") / folder_name(*names, datetime.now(UTC))


def _axis(where: str, name: str) -> "Axis":
    from harness.scenario.axes import AXES
    from harness.scenario.spelling import did_you_mean

    if name not in AXES:
        rule = f"must be one of {', '.join(AXES)}"
        hint = did_you_mean(name, list(AXES))
        raise ScenarioError([ScenarioProblem(where, "", name, rule, hint)])
    return AXES[name]


def _cells(grid: Sequence[str], along: "Axis") -> list[dict["Axis", float]]:
    """Return the loads along the grid's axes of every search; one of none without a grid."""
    values: dict[Axis, list[float]] = {}
    for text in grid:
        name, _, listed = text.partition("=")
        axis = _axis("--grid", name)
        try:
            loads = [float(one) for one in listed.split(",")]
        except ValueError:
            loads = []
        if axis.key in {along.key, *(one.key for one in values)}:
            raise _bad("--grid", text, "must be another axis than those already given")
        if not loads or min(loads) <= 0:
            raise _bad("--grid", text, "must have the form AXIS=LOAD,LOAD", "subscribers=100,200")
        values[axis] = loads
    cells = [dict(zip(values, one, strict=True)) for one in product(*values.values())]
    if len(cells) > _MOST_CELLS:
        raise _bad("--grid", f"{len(cells)} searches", f"must make at most {_MOST_CELLS}")
    return cells


def _resolution(step: str) -> "Resolution":
    from harness.analysis.decide.sweep import Resolution

    found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", step.strip())
    size = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if found is None or not size or (found[2] and not _FINEST_RATIO <= size < 1):
        raise _bad("--step", step, "must be a share from 0.1% to below 100%, or a load above 0")
    return Resolution(size, is_relative=bool(found[2]))


def _search(
    runner: StepRunner,
    start: float,
    most: float | None,
    resolution: "Resolution",
    factor: float,
    repeats: int,
    max_steps: int,
) -> "Search":
    """Return the search, unless the machine, or the arguments, cannot carry it."""
    from harness.analysis.decide.sweep import Search

    if factor <= 1:
        raise _bad("--factor", f"{factor:g}", "must be above 1")
    if start <= 0 or (runner.axis.is_whole and start != int(start)):
        rule = "must be a whole number above 0" if runner.axis.is_whole else "must be above 0"
        raise _bad("--from", f"{start:g}", rule)
    if most is not None and most < start:
        raise _bad("--to", f"{most:g}", f"must be at least --from = {start:g}")
    for load in (start, most):
        refusal = None if load is None else runner.refusal(load)
        if refusal is not None:
            raise refusal
    return Search(
        start=start,
        most=runner.most(start) if most is None else most,
        resolution=resolution,
        factor=factor,
        repeats=repeats,
        max_steps=max_steps,
        is_whole=runner.axis.is_whole,
    )


def _bad(flag: str, found: str, rule: str, example: str | None = None) -> HarnessError:
    hint = f"for example {flag} {example}" if example else None
    return ScenarioError([ScenarioProblem(flag, "", found, rule, hint)])


def _sweep(
    searches: Sequence[tuple[StepRunner, "Search"]],
    names: tuple[str, str],
    reference: "Workload",
) -> int:
    """Run every search, keeping the result on disk up to date, and return the exit code."""
    from harness.analysis.decide.capacity import exit_code_of

    book = _Book(searches[0][0].folder, names, reference)
    try:
        book.write("running")
        for runner, search in searches:
            _search_through(runner, search, book)
    except (SweepStoppedError, KeyboardInterrupt) as stop:
        book.write("interrupted")
        code = stop.code if isinstance(stop, SweepStoppedError) else ExitCode.INTERRUPTED
        if isinstance(stop, SweepStoppedError) and code != ExitCode.INTERRUPTED:
            typer.echo(f"error: {stop}", err=True)
        else:
            said = f"interrupted; the same command with --out {book.folder} goes on"
            typer.echo(f"\n{said}", err=True)
        book.show()
        if code != ExitCode.INTERRUPTED:
            book.discard_empty()
        return code
    book.write("completed")
    book.show()
    return exit_code_of(book.cells)


def _search_through(runner: StepRunner, search: "Search", book: "_Book") -> None:
    """Run one search to its end."""
    from harness.analysis.decide.sweep import Answer
    from harness.report.decide.sweep_text import step_line

    steps: list[SweepStep] = []
    while (load := search.next_load([one.trial for one in steps])) is not None:
        repeat = sum(one.load == load for one in steps)
        step = runner.step(load, repeat)
        if step.exit_code == ExitCode.TARGET_UNREACHABLE and not any(
            one.answer is Answer.HELD for one in steps
        ):
            raise SweepStoppedError(runner.folder / step.run, step.exit_code)
        steps.append(step)
        typer.echo(f"step {len(steps)}: {step_line(step, runner.axis)}", err=True)
        book.note(runner, search, steps)


class _Book:
    """What the sweep has found so far, on disk after every step.

    Args:
        folder: The sweep's own.
        names: Of workload and target.
        reference: The load to state the headroom against.
    """

    def __init__(self, folder: Path, names: tuple[str, str], reference: "Workload") -> None:
        self.folder = folder
        self._names = names
        self._reference = reference
        self._cells: dict[tuple[tuple[Axis, float], ...], Cell] = {}

    @property
    def cells(self) -> list["Cell"]:
        """The searches, as far as they got."""
        return list(self._cells.values())

    def note(self, runner: StepRunner, search: "Search", steps: Sequence["SweepStep"]) -> None:
        """Take down the steps of a search so far."""
        from harness.analysis.decide.capacity import read_cell

        low = search.bracket([one.trial for one in steps]).low
        workload = runner.plan(steps[0].load if low is None else low).workload
        self._cells[tuple(runner.fixed.items())] = read_cell(
            runner.axis, runner.fixed, search, steps, workload, self._reference
        )
        self.write("running")

    def write(self, status: str) -> None:
        """Write the result as JSON, and in the end as a page with its charts."""
        from harness.analysis.decide.capacity import sweep_json
        from harness.report.decide.sweep import render_sweep
        from harness.report.decide.sweep_charts import draw_sweep
        from harness.report.write import write_file, write_page

        data = sweep_json(status, *self._names, self.cells)
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        write_file(self.folder / JSON_FILE, orjson.dumps(data, option=options))
        if self.cells and status != "running":
            charts = draw_sweep(self.cells)
            page = render_sweep(self._names, self.cells, status, charts)
            write_page(self.folder / HTML_FILE, page, charts)

    def discard_empty(self) -> None:
        """Remove the sweep's folder where its first step was refused, so that it holds nothing."""
        if [one.name for one in self.folder.iterdir()] == [JSON_FILE]:
            (self.folder / JSON_FILE).unlink()
            self.folder.rmdir()

    def show(self) -> None:
        """Print what was found."""
        from harness.report.decide.sweep_text import tell_cell

        for cell in self.cells:
            typer.echo("\n".join(tell_cell(cell)))
            typer.echo()
        if self.cells:
            typer.echo(f"page: {self.folder / HTML_FILE}")
