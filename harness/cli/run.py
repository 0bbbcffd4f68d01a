"""``harness run``: start Locust on a plan, show how it goes, report on it."""

import signal
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import distributed_options as elsewhere
from harness.cli.distributed_options import (
    AllowLostWorkers,
    BindHost,
    BindPort,
    ExpectWorkers,
    Master,
    MaxWait,
    MeasureClocks,
)
from harness.cli.label_options import Label, Tags
from harness.cli.locustfile import PACKAGED, Locustfile, readable
from harness.cli.out_folder import is_there
from harness.cli.scenario_files import TargetFile, WorkloadFile
from harness.core.child_errors import report_error
from harness.core.child_python import python_command
from harness.core.errors import HarnessError, MachineError, error_lines
from harness.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from harness.cli.budget import Budget
    from harness.cli.load_process import LoadProcess
    from harness.scenario.plan import Plan

POLL_S = 0.25

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a field of the workload, or of the target (target.…). Repeatable.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Processes that make the load.  [default: as many as the plan needs]",
        envvar="HARNESS_WORKERS",
    ),
]
Owned = Annotated[
    bool,
    typer.Option(
        "--i-own-this-target",
        help="Say that you may put load on a target elsewhere; it is remembered.",
    ),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Run only while it costs no more at list prices; not for an emulated target.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Run even where this machine is too small for it.")
]
WebPort = Annotated[
    int | None,
    typer.Option(metavar="N", help="Show the run at http://127.0.0.1:PORT/fan-out as it goes."),
]
LocustArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--locust-arg",
        metavar="ARG",
        help="Pass an argument on to Locust, such as --locust-arg=--csv=run. Repeatable.",
    ),
]


def run(
    workload: WorkloadFile,
    target: TargetFile,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The run's own folder; must not exist.  [default: a new one in reports/]",
        ),
    ] = None,
    overrides: Overrides = None,
    workers: Workers = None,
    *,
    label: Label = None,
    tags: Tags = None,
    force: Force = False,
    owned: Owned = False,
    max_usd: MaxUsd = None,
    web_port: WebPort = None,
    master: Master = False,
    expect_workers: ExpectWorkers = None,
    bind_host: BindHost = "*",
    bind_port: BindPort = 5557,
    max_wait_s: MaxWait = 600.0,
    allow_lost_workers: AllowLostWorkers = False,
    measure_clocks: MeasureClocks = False,
    locustfile: Locustfile = None,
    locust_arguments: LocustArguments = None,
) -> None:
    """Run a workload against a target, starting its emulator where it is emulated, and report.

    Ctrl-C ends the run in order, a second one at once. The exit code is the verdict's.
    """
    from harness.load.ownership import require_owned
    from harness.load.sizing import size_plan
    from harness.measure.machine import read_machine
    from harness.scenario.labels import read_labels
    from harness.scenario.loading import load_plan

    users = readable(locustfile)
    labels = read_labels(label, tags)
    plan = labels.on(load_plan(workload, target, overrides=overrides or ()))
    folder = out or default_folder(plan)
    if is_there(folder):
        raise _exists(folder)
    require_owned(plan.target, stated=owned)
    spending = None if plan.target.emulated else tell_spending(plan, max_usd)
    arguments = elsewhere.arguments(
        workers=workers,
        master=master,
        expected=expect_workers,
        bind=(bind_host, bind_port),
        max_wait_s=max_wait_s,
        allow_lost_workers=allow_lost_workers,
        measure_clocks=measure_clocks,
    )
    arguments += [*(["--force"] if force else []), *_page(web_port), *(locust_arguments or ())]
    count = 1 if master else size_plan(plan, read_machine(), workers)[1]
    command = load_command(folder, count, arguments, users)
    raise typer.Exit(run_load(command, plan, folder, spending=spending))


def tell_spending(plan: "Plan", max_usd: float | None) -> "Budget":
    """Say what a run on a system elsewhere is going to do to it, and what that costs.

    Raises:
        MachineError: If it costs more than ``max_usd``.
    """
    from harness.cli.budget import Budget

    spending = Budget(plan, max_usd)
    typer.echo(str(spending), err=True)
    spending.require_within()
    return spending


def default_folder(plan: "Plan") -> Path:
    """Return a new folder for a run that begins now."""
    from harness.measure.record import folder_name

    names = (plan.workload.name, plan.target.name)
    return Path("reports") / folder_name(*names, datetime.now(UTC))


def load_command(
    folder: Path, workers: int, locust_arguments: Sequence[str], locustfile: Path = PACKAGED
) -> list[str]:
    """Return the Locust command that makes the load of a plan, which ``carry_load`` adds."""
    command = [*python_command("harness.load.start"), "-f", str(locustfile)]
    command += [] if "--autostart" in locust_arguments else ["--headless"]
    command += ["--out", str(folder)]
    if workers > 1:
        command += ["--processes", str(workers), *_private_meeting_point()]
    return [*command, *locust_arguments]


def _exists(folder: Path) -> MachineError:
    return MachineError(
        str(folder), "exists already", "a run's folder must be new", "choose another --out"
    )


def _page(port: int | None) -> list[str]:
    """Return the Locust arguments for a page that goes when the run does; none without a port."""
    return [] if port is None else ["--autostart", "--autoquit", "0", "--web-port", str(port)]


def _private_meeting_point() -> list[str]:
    """Return where master and workers meet: a free local port, so that runs do not collide."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    return [
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", port),
        *("--master-host", "127.0.0.1", "--master-port", port),
    ]


def run_load(
    command: Sequence[str],
    plan: "Plan",
    folder: Path,
    *,
    make_report: "Callable[[Path], int] | None" = None,
    spending: "Budget | None" = None,
) -> int:
    """Run the load to its end, show its progress and its result, and return the exit code.

    Args:
        command: From ``load_command``.
        plan: What it does.
        folder: The run's own folder.
        make_report: See ``conclude``.
        spending: What it costs, where that is watched.
    """
    load, status = carry_load(command, plan, folder, spending)
    return conclude(load, status, folder, make_report)


def carry_load(
    command: Sequence[str], plan: "Plan", folder: Path, spending: "Budget | None" = None
) -> "tuple[LoadProcess, int]":
    """Run the load to its end and show its progress; return it, ended, with its exit status."""
    from harness.cli.load_process import LoadProcess, signals_held
    from harness.scenario.resolved import plan_file

    # A signal that comes between start and forwarding would miss the load.
    with plan_file(plan) as file, signals_held() as deliver:
        load = LoadProcess([*command, "--plan", str(file)], folder)
        with load.forwarding():
            deliver()
            status = follow(load, plan, folder, spending)
    return load, status


def follow(
    load: "LoadProcess", plan: "Plan", folder: Path, spending: "Budget | None" = None
) -> int:
    """Show the progress of a load until it ends; return its exit status.

    A run that has cost more than it may is ended in order, as by Ctrl-C; a process that does not
    end long after its timetable is killed.
    """
    from rich.console import Console

    from harness.cli.budget import BudgetWatch
    from harness.cli.overrun import OverrunWatch
    from harness.cli.progress import Progress, ProgressDisplay

    watch = BudgetWatch(spending, folder) if spending else None
    overrun = OverrunWatch(folder, plan.total_s)
    population = plan.workload.population
    progress = Progress(
        title=f"{plan.workload.name} on {plan.target.name}",
        total_s=plan.total_s,
        planned={"subscriber": population.subscribers, "chatter": population.chatters},
    )
    with ProgressDisplay(progress, folder, Console(stderr=True)) as display:
        while (status := load.wait(POLL_S)) is None:
            progress.stopping = load.interrupted
            display.update()
            if watch and (complaint := watch.complaint()):
                typer.echo(f"error: {complaint}", err=True)
                load.forward(signal.SIGINT)
            if overrun.overran():
                load.kill()
                return int(overrun.note())
        display.update()
    return status


def conclude(
    load: "LoadProcess",
    status: int,
    folder: Path,
    make_report: "Callable[[Path], int] | None" = None,
) -> int:
    """Say how a load ended, report on what it measured, and return the exit code.

    Args:
        load: The load, ended.
        status: Its exit status; negative where a signal killed it.
        folder: The run's folder, where the load got as far as making one.
        make_report: Makes the report from the record and returns the run's exit code, in place of
            ``show_report``.
    """
    measured = (folder / "run.json").is_file()
    if not measured:
        return _conclude_without_record(load, status)
    if (status < 0 or status == ExitCode.INTERNAL_ERROR) and not load.interrupted:
        _say_died(load, status)
    try:
        judged = (make_report or show_report)(folder)
    except KeyboardInterrupt:  # The record stays as it is; harness report makes the report.
        return ExitCode.INTERRUPTED
    if status < 0:
        return ExitCode.INTERRUPTED if load.interrupted else ExitCode.INTERNAL_ERROR
    return status or judged


def _conclude_without_record(load: "LoadProcess", status: int) -> int:
    """Say why there is nothing to report on, leave nothing behind, and return the exit code."""
    if load.error is not None:
        report_error(load.error)
        typer.echo(error_lines(load.error), err=True)
    if load.error is not None or load.interrupted:
        load.discard()
    else:
        load.keep_log()
        _say_died(load, status)
    if load.interrupted and (status < 0 or load.error is None):
        return ExitCode.INTERRUPTED
    # Without a record nothing may pass, whatever the load thinks of itself.
    return status if status > 0 else ExitCode.INTERNAL_ERROR


def _say_died(load: "LoadProcess", status: int) -> None:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
    typer.echo(f"error: load process: {how}, a run needs it to the end", err=True)
    typer.echo(f"hint: what it said is in {load.log}", err=True)


def show_report(folder: Path) -> int:
    """Make the report of a run and print what ``harness report`` prints; return its exit code."""
    from rich.console import Console

    from harness.cli.report import make_report, show

    try:
        with Console(stderr=True).status("writing the report"):  # On a terminal alone.
            analysis, page = make_report(folder)
        show(analysis, page)
    except HarnessError as error:
        typer.echo(error_lines(error), err=True)
        return error.exit_code
    return int(analysis.summary["exit_code"])
