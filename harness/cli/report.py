"""``harness report`` and ``harness check``: judge run records, and write their reports."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from harness.cli.options import RUN, RunFolder, scenario_option, usage_error
from harness.cli.output import JSON, QUIET, give, takes
from harness.cli.terminal import TABLE_WIDTH, print_table, stdout_console
from harness.cli.verdict import (
    print_judgement,
    report_to_github,
    run_json,
    show,
    verdict_line,
)

if TYPE_CHECKING:
    from harness.analysis.decide.history import History
    from harness.analysis.run.finalize import Analysis

HISTORY_PAGE = "history.html"


@takes(JSON, QUIET)
def report(
    run: Annotated[Path | None, RUN] = None,
    *,
    history: Annotated[
        Path | None,
        typer.Option(help="Report on all runs below a folder instead, over time.", metavar="DIR"),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC", help="A metric of the history, such as stall_s.max. Repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Page of the history.  [default: DIR/history.html]", metavar="FILE"),
    ] = None,
) -> None:
    """Judge a run and write its report.

    Works on finished runs and on the partial record of a run that was killed. Writes report.html,
    summary.md, junit.xml and charts/ into the run's folder. The exit code is the run's.

    With --history, shows instead how metrics changed over all runs below a folder. Comparable runs
    form a series; each run is listed with its git revision. Damaged records are listed and skipped.
    """
    if (run is None) == (history is None):
        found = "neither" if run is None else "both"
        hint = "for example harness report reports/first, or harness report --history reports"
        raise usage_error("report", found, "must be one of RUN, --history", hint)
    if history is not None:
        _report_history(history, metric or (), out)
        return
    assert run is not None  # noqa: S101 - one of the two is given
    for flag, given in (("--metric", metric), ("--out", out)):
        if given:
            hint = "a run's report is written into its own folder, with all metrics"
            raise usage_error(flag, "", "requires --history", hint)
    analysis, page = make_report(run)
    show(analysis, page)
    raise typer.Exit(int(analysis.summary["exit_code"]))


@takes(JSON, QUIET)
def check(
    run: RunFolder,
    *,
    slo: Annotated[
        Path | None,
        scenario_option("slos", "SLO file or name.  [default: the SLOs of the run's workload]"),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML with one case per SLO.", metavar="FILE")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Print every figure, also those without an SLO.")
    ] = False,
) -> None:
    """Judge a finished run again, for example by other SLOs.

    An SLO file is TOML: a [[slos]] table for each objective, with metric, op and limit as in a
    workload, and optionally phase and user_class. The run's folder is not changed. An objective
    without data fails. Exit code: 0 if all hold, 3 if one does not, 4 if the run is invalid.
    """
    from harness.analysis.run.finalize import analyse, judge_again
    from harness.report.run.ci import render_junit
    from harness.report.write import write_file
    from harness.scenario.slo_file import load_slos

    objectives = None if slo is None else [one.model_dump() for one in load_slos(slo)]
    analysis = analyse(run)
    if objectives is not None:
        analysis = judge_again(analysis, objectives)
    if junit is not None:
        write_file(junit, render_junit(analysis))
    report_to_github(analysis)
    give(
        lambda: run_json(analysis),
        lambda: print_judgement(analysis, stdout_console(), every=every),
        lambda: verdict_line(analysis),
    )
    raise typer.Exit(int(analysis.summary["exit_code"]))


def make_report(folder: Path) -> tuple["Analysis", Path]:
    """Judge a run's record, complete it on disk and write its report; return both.

    Raises:
        NoRecordError: If the folder holds no readable record.
        MachineError: If the folder cannot be written.
    """
    from harness.analysis.run.finalize import finalize
    from harness.report.write import write_report

    analysis = finalize(folder)
    return analysis, write_report(analysis)


def _report_history(folder: Path, metrics: Sequence[str], out: Path | None) -> None:
    """Write the page of a history with its charts, and print its tables."""
    from harness.analysis.decide.history import METRICS, read_history
    from harness.core.errors import did_you_mean
    from harness.core.metrics import SUMMARY_METRICS, find_metric
    from harness.report.decide.history_page import draw_history, history_json, render_history
    from harness.report.write import write_page

    for name in metrics:
        if find_metric(name) is None:
            rule, example = "must be a metric of the summary", f"for example {METRICS[0]}"
            raise usage_error(
                "--metric", name, rule, did_you_mean(name, SUMMARY_METRICS) or example
            )
    found = read_history(folder, tuple(metrics) or METRICS)
    page = out or folder / HISTORY_PAGE
    charts = draw_history(found)
    write_page(page, render_history(found, charts), [one for each in charts for one in each])
    give(
        lambda: history_json(found) | {"page": str(page)},
        lambda: _show_history(found, page),
        lambda: f"page: {page}",
    )


def _show_history(found: "History", page: Path) -> None:
    from harness.report.decide.history_page import tables, title

    console = stdout_console(TABLE_WIDTH)
    for series, table in zip(found.series, tables(found), strict=True):
        print_table(replace(table, title=title(series)), console)
    for path, reason in found.skipped:
        console.print(Text(f"skipped: {path}: {reason}", style="yellow"), soft_wrap=True)
    console.print(Text(f"page: {page}"), soft_wrap=True)
