"""``harness sweep``: increase the load step by step until the system fails its SLOs."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from harness.cli.options import (
    Force,
    Label,
    LocustArguments,
    Locustfile,
    OutFolder,
    Overrides,
    Tags,
    TargetFile,
    Workers,
    WorkloadFile,
    readable_locustfile,
    require_known,
    scenario_option,
    usage_error,
)
from harness.cli.output import JSON, LOG_LEVEL, QUIET, give, note, report, takes
from harness.cli.run import default_folder
from harness.cli.sweep_runs import StepRunner, SweepStoppedError, open_folder
from harness.core.exit_codes import VERDICTS, ExitCode
from harness.scenario.shipped import shipped_file

if TYPE_CHECKING:
    from harness.analysis.decide.capacity import Cell
    from harness.analysis.decide.sweep import Resolution, Search, SweepStep
    from harness.scenario.axes import Axis
    from harness.scenario.workload import Workload

JSON_FILE = "sweep.json"
HTML_FILE = "sweep.html"
REFERENCE = shipped_file("workloads", "reference-burst")
_FINEST_RATIO = 0.001
_MOST_CELLS = 64
Along = Annotated[
    str,
    typer.Option(
        help="What increases: subscribers, publish-rate, deliveries or joins.", metavar="AXIS"
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
    str, typer.Option(metavar="STEP", help="Resolution of the capacity: 5%, or a load.")
]
Factor = Annotated[
    float, typer.Option(metavar="N", help="Growth factor of the load until a step fails.")
]
Repeats = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="Runs on each side of the capacity; the majority counts."
    ),
]
MaxSteps = Annotated[
    int, typer.Option(metavar="N", min=1, help="Maximum number of runs, including repeats.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        help="Repeat the search for each of these loads on another axis. Repeatable.",
        metavar="AXIS=LOAD,LOAD",
    ),
]
Reference = Annotated[
    Path | None,
    scenario_option(
        "workloads",
        "Workload to compare the capacity with.  [default: the reference load, with its bursts]",
    ),
]


@takes(JSON, QUIET, LOG_LEVEL)
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
    out: OutFolder = None,
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

    Multiplies the load until a step fails, then bisects. Each step is a complete run inside the
    output folder. If the load generator saturates before the system, the capacity is a lower
    bound. The same command with the same --out resumes an interrupted sweep. Exit code: 0 capacity
    found, 3 no step held, 4 a run was invalid before any step failed, 130 interrupted.
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
        folder=out or default_folder(plan, "sweep-"),
        machine=read_machine(),
        workers=workers,
        labels=read_labels(label, tags),
        force=force,
        locust_arguments=locust_arguments or (),
        locustfile=readable_locustfile(locustfile),
    )
    begin = axis.load_of(plan.workload) if start is None else start
    limits = most, _resolution(step), factor, repeats, max_steps
    runners = [replace(runner, fixed=fixed) for fixed in _cells(grid or (), axis)]
    searches = [(one, _search(one, begin, *limits)) for one in runners]
    open_folder(runner.folder, JSON_FILE)
    raise typer.Exit(_sweep(searches, (plan.workload.name, plan.target.name), compared_with))


def _axis(option: str, name: str) -> "Axis":
    from harness.scenario.axes import AXES

    require_known(option, [name], list(AXES))
    return AXES[name]


def _cells(grid: Sequence[str], along: "Axis") -> list[dict["Axis", float]]:
    """Return the fixed loads of every search; one empty mapping without a grid."""
    values: dict[Axis, list[float]] = {}
    for text in grid:
        name, _, listed = text.partition("=")
        example = "for example --grid subscribers=100,200"
        axis = _axis("--grid", name)
        try:
            loads = [float(one) for one in listed.split(",")]
        except ValueError:
            loads = []
        if axis.key in {along.key, *(one.key for one in values)}:
            raise usage_error("--grid", text, "must be an axis that is not yet given")
        if not loads or min(loads) <= 0:
            raise usage_error("--grid", text, "must have the form AXIS=LOAD,LOAD", example)
        values[axis] = loads
    cells = [dict(zip(values, one, strict=True)) for one in product(*values.values())]
    if len(cells) > _MOST_CELLS:
        raise usage_error("--grid", f"{len(cells)} searches", f"must make at most {_MOST_CELLS}")
    return cells


def _resolution(step: str) -> "Resolution":
    from harness.analysis.decide.sweep import Resolution

    found = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", step.strip())
    size = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if found is None or not size or (found[2] and not _FINEST_RATIO <= size < 1):
        raise usage_error(
            "--step", step, "must be a percentage from 0.1% to below 100%, or a load above 0"
        )
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
        raise usage_error("--factor", f"{factor:g}", "must be above 1")
    if start <= 0 or (runner.axis.is_whole and start != int(start)):
        rule = "must be a whole number above 0" if runner.axis.is_whole else "must be above 0"
        raise usage_error("--from", f"{start:g}", rule)
    if most is not None and most < start:
        raise usage_error("--to", f"{most:g}", f"must be at least --from = {start:g}")
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


def _sweep(
    searches: Sequence[tuple[StepRunner, "Search"]], names: tuple[str, str], reference: "Workload"
) -> int:
    """Run every search, write the result after each step, and return the exit code."""
    from harness.analysis.decide.capacity import exit_code_of

    results = _Results(searches[0][0].folder, names, reference)
    try:
        results.write("running")
        for runner, search in searches:
            _run_search(runner, search, results)
    except (SweepStoppedError, KeyboardInterrupt) as stop:
        results.write("interrupted")
        code = stop.code if isinstance(stop, SweepStoppedError) else ExitCode.INTERRUPTED
        if isinstance(stop, SweepStoppedError) and code != ExitCode.INTERRUPTED:
            report(stop)
        else:
            note(f"\ninterrupted; the same command with --out {results.folder} resumes")
        results.give()
        if code != ExitCode.INTERRUPTED:
            results.discard_empty()
        return code
    results.write("completed")
    results.give()
    return exit_code_of(results.cells)


def _run_search(runner: StepRunner, search: "Search", results: "_Results") -> None:
    from harness.analysis.decide.sweep import TrialResult
    from harness.report.decide.sweep_text import step_line

    steps: list[SweepStep] = []
    while (load := search.next_load([one.trial for one in steps])) is not None:
        repeat = sum(one.load == load for one in steps)
        step = runner.step(load, repeat)
        if step.exit_code == ExitCode.TARGET_UNREACHABLE and not any(
            one.answer is TrialResult.HELD for one in steps
        ):
            raise SweepStoppedError(runner.folder / step.run, step.exit_code)
        steps.append(step)
        note(f"step {len(steps)}: {step_line(step, runner.axis)}")
        results.record(runner, search, steps)


class _Results:
    """The results of a sweep, written after every step."""

    def __init__(self, folder: Path, names: tuple[str, str], reference: "Workload") -> None:
        self.folder = folder
        self._names = names
        self._reference = reference
        self._cells: dict[tuple[tuple[Axis, float], ...], Cell] = {}
        self._data: dict[str, Any] = {}

    @property
    def cells(self) -> list["Cell"]:
        """The searches so far."""
        return list(self._cells.values())

    def record(self, runner: StepRunner, search: "Search", steps: Sequence["SweepStep"]) -> None:
        """Store the steps of a search so far, and write the results."""
        from harness.analysis.decide.capacity import read_cell

        low = search.bracket([one.trial for one in steps]).low
        workload = runner.plan(steps[0].load if low is None else low).workload
        self._cells[tuple(runner.fixed.items())] = read_cell(
            runner.axis, runner.fixed, search, steps, workload, self._reference
        )
        self.write("running")

    def write(self, status: str) -> None:
        """Write the results as JSON, and once ended as a page with charts."""
        from harness.analysis.decide.capacity import sweep_json
        from harness.report.decide.sweep import render_sweep
        from harness.report.decide.sweep_charts import draw_sweep
        from harness.report.write import write_file, write_page

        self._data = data = sweep_json(status, *self._names, self.cells)
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        write_file(self.folder / JSON_FILE, orjson.dumps(data, option=options))
        if self.cells and status != "running":
            charts = draw_sweep(self._names, self.cells)
            page = render_sweep(self._names, self.cells, status, charts)
            write_page(self.folder / HTML_FILE, page, charts)

    def discard_empty(self) -> None:
        """Remove the sweep's folder if its first step was refused and it holds no run."""
        if [one.name for one in self.folder.iterdir()] == [JSON_FILE]:
            (self.folder / JSON_FILE).unlink()
            self.folder.rmdir()

    def give(self) -> None:
        """Give the results that were written last, as text, capacities alone or JSON."""
        from harness.report.decide.sweep_text import cell_lines

        is_whole = self._data["status"] == "completed"
        verdict = VERDICTS[self._data["exit_code"]] if is_whole else None
        give(
            lambda: self._data | {"verdict": verdict, "folder": str(self.folder)},
            self._show,
            lambda: "\n".join(cell_lines(cell)[0] for cell in self.cells),
        )

    def _show(self) -> None:
        from harness.report.decide.sweep_text import cell_lines

        for cell in self.cells:
            typer.echo("\n".join(cell_lines(cell)))
            typer.echo()
        if self.cells:
            typer.echo(f"page: {self.folder / HTML_FILE}")
