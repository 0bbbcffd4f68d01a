"""``harness cost``: what a day costs on each system, and what runs used."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table as RichTable

from harness.cli.scenario_files import scenario_option
from harness.core.errors import ScenarioError, ScenarioProblem
from harness.scenario.spelling import did_you_mean

if TYPE_CHECKING:
    from harness.analysis.decide.cost_study import CostStudy
    from harness.analysis.run.record import Record
    from harness.report.table_cells import Table


_FILE_WIDTH = 220
"""Columns where stdout is no terminal: each line of a bill on one line."""


def cost(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]", help="Run folders; the first one's events are those of the day."
        ),
    ] = None,
    workload: Annotated[
        Path | None,
        scenario_option("workloads", "Workload whose users and messages are the day's."),
    ] = None,
    flip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUESTION", help="Count an open question the other way, such as keep-alive."
        ),
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--json", help="Print everything as JSON instead of tables.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with charts.", metavar="FILE")
    ] = None,
) -> None:
    """Compare what a day costs on each system at list prices, line by line.

    Without a workload, the day has 30,000 users and 25,000 messages. With runs, its events are as
    large and reach as many as those of the first run, and what each run used is listed. Every line
    shows its formula and the source of its price; questions that a price list leaves open are
    shown with both of their values.
    """
    # Late, because pandas and matplotlib take a second to load and other verbs need neither.
    from harness.analysis.run.cost import run_cost
    from harness.analysis.run.record import read_record

    records = [read_record(folder) for folder in runs or []]
    study = _study(records, workload, flip or [])
    costs = [run_cost(record) for record in records]
    if html is not None:
        from harness.report.decide.cost_page import draw_curves, render_cost_page
        from harness.report.write import write_page

        charts = draw_curves(study.curves)
        write_page(html, render_cost_page(study, costs, charts), charts)
    if as_json:
        options = orjson.OPT_INDENT_2
        typer.echo(orjson.dumps({"runs": costs, "study": study}, option=options))
        return
    from harness.report.decide.cost_tables import cost_tables

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
    for table in cost_tables(study, costs):
        _print(table, console)
    if html is not None:
        console.print(f"page: {html}", soft_wrap=True)


def _study(records: list["Record"], workload: Path | None, flipped: list[str]) -> "CostStudy":
    from harness.analysis.decide.cost_study import CHATTERS_RATIO, chatters_ratio, day_of, study_day
    from harness.analysis.run.cost import REFERENCE, day_like
    from harness.scenario.loading import load_workload

    day, ratio = REFERENCE, CHATTERS_RATIO
    if workload is not None:
        loaded = load_workload(workload)
        day, ratio = day_of(loaded), chatters_ratio(loaded)
    if records:
        day = day_like(records[0], day) or day
    study = study_day(day, flipped, ratio)
    _require_known(flipped, study)
    return study


def _require_known(flipped: list[str], study: "CostStudy") -> None:
    known = sorted(
        {each.switch for case in study.cases for bill in case.bills for each in bill.alternatives}
    )
    unknown = [name for name in flipped if name not in known]
    if unknown:
        rule = f"must be one of {', '.join(known)}"
        raise ScenarioError(
            [
                ScenarioProblem("--flip", "", name, rule, did_you_mean(name, known))
                for name in unknown
            ]
        )


def _print(table: "Table", console: Console) -> None:
    console.print(table.title, style="bold", soft_wrap=True)
    grid = RichTable(box=None)
    for index, column in enumerate(table.columns):
        is_number = index >= table.texts
        justify: Literal["left", "right"] = "right" if is_number else "left"
        grid.add_column(column, justify=justify, no_wrap=is_number, overflow="fold")
    for row in table.rows:
        grid.add_row(*(cell.text for cell in row))
    console.print(grid)
    if table.note:
        console.print(table.note, style="dim")
    console.print()
