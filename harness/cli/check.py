"""``harness check``: judge a finished run again, by its own objectives or by others."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from harness.cli.github import tell_github
from harness.cli.report import LOG_WIDTH, print_judgement
from harness.cli.scenario_files import scenario_option


def check(
    run: Annotated[Path, typer.Argument(help="The run's own folder.", metavar="RUN")],
    slo: Annotated[
        Path | None,
        scenario_option("slos", "SLOs; without it, those of the run's workload."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write JUnit XML, one case an SLO.", metavar="FILE")
    ] = None,
    as_json: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool, typer.Option("--json", help="Print the verdict as JSON instead of a table.")
    ] = False,
) -> None:
    """Judge a finished run again, without running anything.

    An SLO file is TOML: a [[slos]] table for each objective, with metric, op and limit as in a
    workload, and optionally phase and user_class. The run's folder is left as it is. An objective
    without data has failed. Exit code: 0 all hold, 3 one does not, 4 the run is invalid.

    Raises:
        Exit: Always, with the verdict's exit code.
    """
    # Late, because pandas takes a second to load and other verbs do not need it.
    from harness.analysis.run.finalize import analyse, judge_again, verdict_json
    from harness.report.run.junit import render_junit
    from harness.report.write import write_file
    from harness.scenario.slo_file import load_slos

    objectives = None if slo is None else [one.model_dump() for one in load_slos(slo)]
    analysis = analyse(run)
    if objectives is not None:
        analysis = judge_again(analysis, objectives)
    if junit is not None:
        write_file(junit, render_junit(analysis))
    if as_json:
        typer.echo(orjson.dumps(verdict_json(analysis), option=orjson.OPT_INDENT_2))
    else:
        width = None if sys.stdout.isatty() else LOG_WIDTH
        print_judgement(analysis, Console(highlight=False, width=width))
    tell_github(analysis)
    raise typer.Exit(int(analysis.summary["exit_code"]))
