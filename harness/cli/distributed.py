"""A run whose load comes from other machines: the master's options, and ``harness worker``."""

import math
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import PACKAGED_LOCUSTFILE, Locustfile, port_option, readable_locustfile
from harness.cli.output import LOG_LEVEL, QUIET, log_arguments, note, takes
from harness.core.child_python import python_command
from harness.core.errors import HarnessError, MachineError, os_reason

MASTER_PORT = 5557
"""Locust's own default."""

REPORT_EVERY_S = 10.0
ATTEMPT_EVERY_S = 0.5
ANSWER_WITHIN_S = 5.0
_SIGNATURE_BYTES = 10
_FIRST, _LAST = 0xFF, 0x7F
"""First and last byte of the greeting that ZeroMQ sends to a new connection.

Source: rfc.zeromq.org/spec/23, section "Grammar": signature = %xFF padding %x7F.
"""

Master = Annotated[
    bool, typer.Option("--master", help="Let workers on other machines make the load.")
]
ExpectWorkers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Start when N workers have joined; requires --master."),
]
BindHost = Annotated[str, typer.Option(metavar="HOST", help="Address that the master listens on.")]
BindPort = Annotated[int, port_option("Port of the master.")]
MaxWait = Annotated[
    float,
    typer.Option(
        "--max-wait",
        metavar="N",
        min=0,
        help="Maximum wait for the workers, in seconds; 0 waits forever.",
    ),
]
AllowLostWorkers = Annotated[
    bool, typer.Option("--allow-lost-workers", help="Continue after losing a worker.")
]
MeasureClocks = Annotated[
    bool, typer.Option("--measure-clocks", help="Also measure clocks of local workers.")
]


SecretFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File with the secret that master and workers share; left out, HARNESS_RUN_SECRET, "
        "or else the user's own file.",
    ),
]


def master_arguments(
    *,
    workers: int | None,
    master: bool,
    expected: int | None,
    bind: tuple[str, int],
    max_wait_s: float,
    allow_lost_workers: bool,
    measure_clocks: bool,
    secret_file: Path | None = None,
) -> list[str]:
    """Return the options for Locust; none for a run whose load is made on this machine.

    Raises:
        MachineError: If they contradict each other.
    """
    flags = {"--allow-lost-workers": allow_lost_workers, "--measure-clocks": measure_clocks}
    from harness.load import run_secret

    found = [flag for flag, given in flags.items() if given]
    if master != (expected is not None):
        given, missing = "--master", "--expect-workers"
        given, missing = (given, missing) if master else (missing, given)
        raise MachineError("harness run", f"{given} without {missing}", "both are required")
    if expected is None and secret_file is not None:
        required = "workers of this machine share a secret of their own"
        raise MachineError("harness run", "--secret-file without --master", required)
    if expected is None:
        return found
    if workers is not None:
        required = "--expect-workers sets their number, and each is started on its own machine"
        raise MachineError("harness run", "--workers with --master", required)
    host, port = bind
    _require_free(host, port)
    run_secret.share_secret(secret_file)
    typer.echo(
        f"waiting for {expected} workers on port {port}; start each with: "
        f"harness worker --master-host THIS_MACHINE --master-port {port}, and with the same secret "
        f"(a copy of {secret_file or run_secret.secret_file()}, or {run_secret.VARIABLE})",
        err=True,
    )
    address = ["--master-bind-host", host, "--master-bind-port", str(port)]
    wait = ["--expect-workers-max-wait", str(math.ceil(max_wait_s))]
    return [*found, "--master", "--expect-workers", str(expected), *wait, *address]


def _require_free(host: str, port: int) -> None:
    """Raise MachineError where the master could not listen; Locust would exit without an error."""
    address = "" if host == "*" else host
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        found = os_reason(error).partition(" (")[0]
        hint = "choose another --bind-port, and give it to the workers as --master-port"
        raise MachineError(
            f"master at {host}:{port}", found, "a free port is required", hint
        ) from None


@takes(QUIET, LOG_LEVEL)
def worker(
    master_host: Annotated[
        str, typer.Option(metavar="HOST", help="Host of the master.", envvar="HARNESS_MASTER")
    ],
    master_port: Annotated[int, port_option("Port of the master.")] = MASTER_PORT,
    processes: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Number of worker processes on this machine; one per core."
        ),
    ] = 1,
    max_wait_s: Annotated[
        float,
        typer.Option(
            "--max-wait", metavar="N", min=0, help="Maximum wait for a master, in seconds."
        ),
    ] = 300.0,
    secret_file: SecretFile = None,
    locustfile: Locustfile = None,
) -> None:
    """Make load for a run whose master is on another machine.

    The master sends the plan. A custom locustfile must be the same as the master's. Secrets are
    not sent: set the environment variables that the target names on this machine as well. The
    worker exits with the run.
    """
    from harness.load.run_secret import share_secret

    users = readable_locustfile(locustfile)
    share_secret(secret_file)
    note(f"waiting for a run at {master_host}:{master_port}")
    wait_for_master(master_host, master_port, max_wait_s, note)
    require_same_secret(master_host, master_port)
    status = _run_locust(worker_command(master_host, master_port, processes, users))
    if status < 0:
        found, rule = f"was killed by signal {-status}", "it must run until the end of the run"
        raise HarnessError("worker", found, rule, "the master ends the run, which is invalid")
    raise typer.Exit(status)


def _run_locust(command: list[str]) -> int:
    """Run Locust until it exits, forwarding signals; return its exit status."""
    process = subprocess.Popen(command)
    for each in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda signum, _: process.send_signal(signum))
    return process.wait()


def worker_command(
    host: str, port: int, processes: int, locustfile: Path = PACKAGED_LOCUSTFILE
) -> list[str]:
    """Return the Locust command of a worker."""
    command = [*python_command("harness.load.start"), "-f", str(locustfile), "--worker"]
    command += ["--master-host", host, "--master-port", str(port), *log_arguments()]
    return [*command, "--processes", str(processes)] if processes > 1 else command


def wait_for_master(host: str, port: int, within_s: float, report: Callable[[str], None]) -> None:
    """Return once a master answers at an address; Locust itself reports little while it waits.

    A host's name may become resolvable during the wait. ``report`` receives a line now and then.

    Raises:
        MachineError: If no master answers in time, or another service answers.
    """
    began_s = reported_s = time.monotonic()
    while (problem := _problem(host, port)) is not None:
        now_s = time.monotonic()
        if now_s - began_s > within_s:
            required = f"a master must answer within {within_s:g} s"
            hint = "check that harness run --master is running there, and that its port is open"
            raise MachineError(f"master {host}:{port}", problem, required, hint)
        if now_s - reported_s > REPORT_EVERY_S:
            reported_s = now_s
            report(f"still waiting for {host}:{port}: {problem}")
        time.sleep(ATTEMPT_EVERY_S)


def require_same_secret(host: str, port: int) -> None:
    """Raise MachineError unless the master answers with the secret of this process."""
    from harness.load.run_secret import VARIABLE, master_knows, secret_file

    if not master_knows(os.environ[VARIABLE], host, port, ANSWER_WITHIN_S):
        raise MachineError(
            f"master {host}:{port}",
            "has another secret, or none",
            "master and workers must share the secret of the run",
            f"copy the master's {secret_file()} to the same place here, name a copy with "
            f"--secret-file, or set {VARIABLE} on both",
        )


def _problem(host: str, port: int) -> str | None:
    """Return why no master is reachable yet; None where one answers."""
    try:
        with socket.create_connection((host, port), ANSWER_WITHIN_S) as connection:
            greeting = connection.recv(_SIGNATURE_BYTES, socket.MSG_WAITALL)
    except TimeoutError:
        return f"no answer within {ANSWER_WITHIN_S:g} s"
    except OSError as error:
        return os_reason(error)
    if not greeting:
        return "the connection was closed at once"
    if greeting[0] != _FIRST or greeting[-1] != _LAST or len(greeting) != _SIGNATURE_BYTES:
        required = "a master of harness or Locust is required"
        raise MachineError(f"{host}:{port}", "another service answers", required)
    return None
