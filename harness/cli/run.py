"""``harness run``: run a plan with Locust, show its progress, and report on it."""

import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.distributed import (
    MASTER_PORT,
    AllowLostWorkers,
    BindHost,
    BindPort,
    ExpectWorkers,
    Master,
    MaxWait,
    MeasureClocks,
    SecretFile,
    master_arguments,
)
from harness.cli.new_folder import new_folder
from harness.cli.options import (
    PACKAGED_LOCUSTFILE,
    REPORTS,
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
    port_option,
    readable_locustfile,
)
from harness.cli.output import JSON, LOG_LEVEL, OUTPUT, QUIET, log_arguments, note, report, takes
from harness.cli.repeat import Repeat, refuse_with_master, run_repeatedly
from harness.core.child_python import python_command
from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from harness.cli.budget import Budget
    from harness.cli.load_process import LoadProcess
    from harness.scenario.plan import Plan

POLL_S = 0.25

Owned = Annotated[
    bool,
    typer.Option(
        "--i-own-this-target",
        help="Confirm that you may load-test a remote target; this is remembered.",
    ),
]
MaxUsd = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Refuse or stop a run, each run of --repeat, that costs more at list prices; ignored "
        "for emulated targets.",
    ),
]
WebPort = Annotated[
    int | None,
    port_option("Serve a live page on port N; its link is printed."),
]


@takes(JSON, QUIET, LOG_LEVEL)
def run(
    workload: WorkloadFile,
    target: TargetFile,
    out: OutFolder = None,
    overrides: Overrides = None,
    workers: Workers = None,
    *,
    label: Label = None,
    tags: Tags = None,
    repeat: Repeat = 1,
    force: Force = False,
    owned: Owned = False,
    max_usd: MaxUsd = None,
    web_port: WebPort = None,
    master: Master = False,
    expect_workers: ExpectWorkers = None,
    bind_host: BindHost = "*",
    bind_port: BindPort = MASTER_PORT,
    max_wait_s: MaxWait = 600.0,
    allow_lost_workers: AllowLostWorkers = False,
    measure_clocks: MeasureClocks = False,
    secret_file: SecretFile = None,
    locustfile: Locustfile = None,
    locust_arguments: LocustArguments = None,
) -> None:
    """Run a workload against a target and write a report.

    Starts the emulator if the target is emulated. The output folder must not exist yet. Ctrl-C
    stops the run gracefully, a second Ctrl-C kills it. The exit code is the verdict's.
    """
    from harness.load.ownership import require_owned
    from harness.load.sizing import size_plan
    from harness.measure.machine import read_machine
    from harness.scenario.labels import read_labels
    from harness.scenario.loading import load_plan

    users = readable_locustfile(locustfile)
    plan = read_labels(label, tags).on(load_plan(workload, target, overrides=overrides or ()))
    with _run_folder(out, plan) as folder:
        refuse_with_master(repeat, master=master)
        require_owned(plan.target, stated=owned)
        arguments = master_arguments(
            workers=workers,
            master=master,
            expected=expect_workers,
            bind=(bind_host, bind_port),
            max_wait_s=max_wait_s,
            allow_lost_workers=allow_lost_workers,
            measure_clocks=measure_clocks,
            secret_file=secret_file,
        )
        arguments += [*["--force"] * force, *_live_page(web_port), *(locust_arguments or ())]
        count = 1 if master else size_plan(plan, read_machine(), workers)[1]

        def run_once(plan: "Plan", folder: Path) -> int:
            budget = None if plan.target.emulated else announce_budget(plan, max_usd)
            command = load_command(folder, count, arguments, users)
            return run_load(command, plan, folder, budget=budget)

        raise typer.Exit(run_repeatedly(plan, folder, repeat, run_once))


@contextlib.contextmanager
def _run_folder(out: Path | None, plan: "Plan") -> Iterator[Path]:
    """Claim the folder of a run; signals before its load starts are as Ctrl-C."""
    from harness.cli.load_process import handled_by

    wanted = out or default_folder(plan)
    with (
        handled_by(signal.default_int_handler),
        new_folder(wanted, may_differ=out is None) as folder,
    ):
        yield folder


def announce_budget(plan: "Plan", max_usd: float | None) -> "Budget":
    """Print the load that a run puts on a remote system, and its cost.

    Raises:
        MachineError: If it costs more than ``max_usd``.
    """
    from harness.cli.budget import Budget

    budget = Budget(plan, max_usd)
    note(str(budget))
    budget.require_within()
    return budget


def default_folder(plan: "Plan", prefix: str = "") -> Path:
    """Return a new folder for a run or a sweep that begins now."""
    from harness.measure.record import folder_name

    name = folder_name(f"{prefix}{plan.workload.name}", plan.target.name, datetime.now(UTC))
    return REPORTS / name


def load_command(
    folder: Path,
    workers: int,
    locust_arguments: Sequence[str],
    locustfile: Path = PACKAGED_LOCUSTFILE,
) -> list[str]:
    """Return the Locust command that makes the load of a plan, which ``carry_load`` adds."""
    command = [*python_command("harness.load.start"), "-f", str(locustfile)]
    command += [] if "--autostart" in locust_arguments else ["--headless"]
    command += ["--out", str(folder)]
    if workers > 1:
        command += ["--processes", str(workers), *_private_master_address()]
    return [*command, *log_arguments(), *locust_arguments]


def _live_page(port: int | None) -> list[str]:
    """Return the Locust arguments for a live page that ends with the run, and print its link."""
    if port is None:
        return []
    from harness.live.outputs import LOOPBACK, TOKEN_VARIABLE, page_link

    token = os.environ[TOKEN_VARIABLE] = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(16)
    typer.echo(f"live page: {page_link(LOOPBACK, port, token)}", err=True)
    return ["--autostart", "--autoquit", "0", "--web-port", str(port)]


def _private_master_address() -> list[str]:
    """Return Locust arguments with a free local port, so that concurrent runs do not collide."""
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
    budget: "Budget | None" = None,
) -> int:
    """Run the load, show its progress and its result, and return the exit code.

    See ``carry_load`` and ``conclude`` for the arguments.
    """
    load, status = carry_load(command, plan, folder, budget)
    return conclude(load, status, folder, make_report)


def carry_load(
    command: Sequence[str], plan: "Plan", folder: Path, budget: "Budget | None" = None
) -> "tuple[LoadProcess, int]":
    """Run the load of a ``load_command``; return the ended process and its exit status."""
    from harness.cli.load_process import LoadProcess, signals_held
    from harness.scenario.resolved import plan_file

    # A signal that comes between start and forwarding would miss the load.
    with plan_file(plan) as file, signals_held() as deliver:
        load = LoadProcess([*command, "--plan", str(file)], folder)
        with load.forwarding():
            deliver()
            status = follow(load, plan, folder, budget)
    return load, status


def follow(load: "LoadProcess", plan: "Plan", folder: Path, budget: "Budget | None" = None) -> int:
    """Show the progress of a load until it ends; return its exit status.

    A run that exceeds its budget is stopped gracefully, as by Ctrl-C; a process that has not exited
    long after its timetable is killed.
    """
    from rich.console import Console

    from harness.cli.budget import BudgetWatch
    from harness.cli.load_process import OverrunWatch
    from harness.cli.progress import Progress, ProgressDisplay

    watch = BudgetWatch(budget, folder) if budget else None
    overrun = OverrunWatch(folder, plan.total_s)
    progress = Progress(
        title=f"{plan.workload.name} on {plan.target.name}",
        total_s=plan.total_s,
        planned=plan.workload.population.fan_out,
    )
    console = Console(stderr=True, quiet=OUTPUT.quiet)
    with ProgressDisplay(progress, folder, console) as display:
        while (status := load.wait(POLL_S)) is None:
            progress.stopping = load.interrupted
            display.update()
            if watch and (complaint := watch.complaint()):
                report(complaint)
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
    """Print how a load ended, report on its record, and return the exit code.

    The status is negative where a signal killed the load. ``make_report`` makes the report from the
    record and returns the run's exit code, in place of ``show_report``.
    """
    from harness.measure.record import RUN_FILE

    if not (folder / RUN_FILE).is_file():
        return _conclude_without_record(load, status)
    if (status < 0 or status == ExitCode.INTERNAL_ERROR) and not load.interrupted:
        _print_died(load, status)
        _note_died(folder / RUN_FILE, status)
    try:
        judged = (make_report or show_report)(folder)
    except KeyboardInterrupt:  # The record stays as it is.
        note(f"\ninterrupted while writing the report\nhint: harness report {folder} writes it")
        return ExitCode.INTERRUPTED
    if status < 0:
        return ExitCode.INTERRUPTED if load.interrupted else ExitCode.INTERNAL_ERROR
    # A run that an SLO stopped may be invalid, which the report finds.
    return judged if status == ExitCode.SLO_FAILED else status or judged


def _conclude_without_record(load: "LoadProcess", status: int) -> int:
    """Print why there is no record, remove what is left, and return the exit code."""
    if load.error is not None:
        report(load.error)
    if load.error is not None or load.interrupted:
        load.discard()
    else:
        load.keep_log()
        _print_died(load, status)
    if load.interrupted and (status < 0 or load.error is None):
        note("interrupted before the run began; there is no record")
        return ExitCode.INTERRUPTED
    # Without a record a run never passes, whatever the exit status.
    return status if status > 0 else ExitCode.INTERNAL_ERROR


def _print_died(load: "LoadProcess", status: int) -> None:
    rule, hint = "it must run until the end", f"its output is in {load.log}"
    report(HarnessError("load process", _how(status), rule, hint))


def _note_died(file: Path, status: int) -> None:
    """Note in a record that is complete all the same: nothing is to say that such a run passed."""
    from harness.cli.load_process import note_cause
    from harness.load.master.abort_reason import AbortReason

    message = f"the load process {_how(status)} after the run"
    cause = AbortReason("load_died", ExitCode.INTERNAL_ERROR, message)
    note_cause(file, "completed", cause)


def _how(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"


def show_report(folder: Path) -> int:
    """Make the report of a run and print it as ``harness report`` does; return its exit code."""
    from rich.console import Console

    from harness.cli.report import make_report
    from harness.cli.verdict import show

    try:
        console = Console(stderr=True, quiet=OUTPUT.quiet)
        with console.status("writing the report"):  # On a terminal alone.
            analysis, page = make_report(folder)
        show(analysis, page)
    except HarnessError as error:
        return report(error)
    return int(analysis.summary["exit_code"])
