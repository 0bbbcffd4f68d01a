"""``harness run --repeat``: several runs of one plan with different seeds, as a side to compare."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from harness.cli.options import usage_error
from harness.cli.output import OUTPUT, give, note, report
from harness.cli.terminal import TABLE_WIDTH, print_table, stdout_console
from harness.cli.verdict import add_to_step_summary
from harness.core.errors import HarnessError
from harness.core.exit_codes import VERDICTS, ExitCode

if TYPE_CHECKING:
    from harness.report.table_cells import Table
    from harness.scenario.plan import Plan

Repeat = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Run N times, with the seeds seed, seed+1, …, into FOLDER/1, FOLDER/2, …. Exits with "
        "the code of the worst run: 130, 1, 2, 5, 4, 3, 0 from worst to best.",
    ),
]

_WORST_FIRST: Final = (
    *(ExitCode.INTERRUPTED, ExitCode.INTERNAL_ERROR, ExitCode.BAD_USAGE),
    *(ExitCode.TARGET_UNREACHABLE, ExitCode.RUN_INVALID, ExitCode.SLO_FAILED, ExitCode.PASS),
)
_SEEDS: Final = 2**32


def run_repeatedly(
    plan: "Plan", folder: Path, count: int, run: Callable[["Plan", Path], int]
) -> int:
    """Run a plan several times, print a table of all runs, and return the worst exit code.

    A single run is made into ``folder`` itself, without a table; several into folders 1, 2 and so
    on below it. ``run`` makes one and returns its exit code. An interruption, an error, or a run
    that leaves no record ends the series.
    """
    from harness.measure.record import RUN_FILE

    if count == 1:
        return run(plan, folder)
    codes: list[int] = []
    results: list[dict[str, Any]] = []
    try:
        for number, each in enumerate(with_seeds(plan, count), 1):
            place = folder / str(number)
            seed = each.workload.seed
            note(f"run {number} of {count}, seed {seed}: {place}")
            OUTPUT.result = None
            codes.append(run(each, place))
            results += [OUTPUT.result] if OUTPUT.result else []
            if codes[-1] == ExitCode.INTERRUPTED or not (place / RUN_FILE).is_file():
                break
    except HarnessError as error:
        codes.append(report(error))
    except KeyboardInterrupt:  # Between two runs.
        note("\ninterrupted")
        codes.append(ExitCode.INTERRUPTED)
    _give(folder, count, {"verdict": VERDICTS.get(worst(codes)), "runs": results})
    return worst(codes)


def with_seeds(plan: "Plan", count: int) -> "Iterator[Plan]":
    """Yield a plan with its own seed and those that follow."""
    for number in range(count):
        seed = (plan.workload.seed + number) % _SEEDS
        workload = plan.workload.model_copy(update={"seed": seed})
        yield plan.model_copy(update={"workload": workload})


def worst(codes: Sequence[int]) -> int:
    """Return the worst exit code; one that no table has counts as an internal error."""
    internal = _WORST_FIRST.index(ExitCode.INTERNAL_ERROR)
    places = {int(code): place for place, code in enumerate(_WORST_FIRST)}
    return min(codes, key=lambda code: places.get(code, internal))


def refuse_with_master(count: int, *, master: bool) -> None:
    """Raise ScenarioError for several runs with workers elsewhere: they exit with the run."""
    if count == 1 or not master:
        return
    rule = "must be used without --master, because workers exit with the run"
    hint = "start one run after the other, with --set seed=1, --set seed=2 and so on"
    raise usage_error("--repeat", "--master", rule, hint)


def _give(folder: Path, count: int, result: dict[str, Any]) -> None:
    """Give the runs that left a record, if any did: as a table, their folder alone or JSON."""
    from harness.analysis.run.run_file import read_run, runs_in
    from harness.report.decide.repeat_table import repeat_table
    from harness.report.markdown import render_table

    runs = {one.name: read_run(one) for one in runs_in(folder) if one != folder}
    if not runs:
        return
    table = repeat_table(runs, count)
    add_to_step_summary(lambda: f"## {table.title}\n\n{render_table(table)}")
    give(
        lambda: result | {"folder": str(folder)},
        lambda: _show(table, folder),
        lambda: f"runs: {folder}",
    )


def _show(table: "Table", folder: Path) -> None:
    console = stdout_console(TABLE_WIDTH)
    console.print()
    print_table(table, console)
    typer.echo(f"runs: {folder}")
