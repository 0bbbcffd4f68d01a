"""``harness cost``: the cost of a day on each system, and the usage of runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from harness.cli.options import require_known, scenario_option
from harness.cli.output import JSON, give, takes
from harness.cli.terminal import TABLE_WIDTH, print_table, stdout_console

if TYPE_CHECKING:
    from harness.analysis.decide.cost_study import CostStudy
    from harness.analysis.run.record import Record


@takes(JSON)
def cost(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]", help="Run folders; the first one sets the messages of the day."
        ),
    ] = None,
    *,
    workload: Annotated[
        Path | None,
        scenario_option("workloads", "Workload that sets users and messages of the day."),
    ] = None,
    flip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ASSUMPTION",
            help="Reverse an assumption about the price list, such as keep-alive. Repeatable.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with charts.", metavar="FILE")
    ] = None,
) -> None:
    """Compare the cost of a day on each system at list prices.

    Without a workload, the day has 30,000 users and 25,000 messages. With runs, messages have the
    size and the number of recipients measured in the first run, and the usage of each run is
    listed. Every line shows its formula and the source of its price. Where a price list is
    ambiguous, both interpretations are shown.
    """
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
    give(lambda: {"runs": costs, "study": study}, lambda: _show(study, costs, html))


def _show(study: "CostStudy", costs: list[Any], html: Path | None) -> None:
    from harness.report.decide.cost_tables import cost_tables

    console = stdout_console(TABLE_WIDTH)
    for table in cost_tables(study, costs):
        print_table(table, console)
    if html is not None:
        console.print(Text(f"page: {html}"), soft_wrap=True)


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
    bills = [bill for case in study.cases for bill in case.bills]
    require_known(
        "--flip", flipped, sorted({each.switch for b in bills for each in b.alternatives})
    )
    return study
