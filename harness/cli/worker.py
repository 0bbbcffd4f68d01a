"""``harness worker``: make load for a master on another machine."""

import signal
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.locustfile import PACKAGED, Locustfile, readable
from harness.cli.wait_for_master import wait_for_master
from harness.core.child_python import python_command
from harness.core.exit_codes import ExitCode


def worker(
    master_host: Annotated[
        str, typer.Option(metavar="HOST", help="Where the master is.", envvar="HARNESS_MASTER")
    ],
    master_port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Its port.")
    ] = 5557,
    processes: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Workers to start here, one process each; plan one a core."
        ),
    ] = 1,
    max_wait_s: Annotated[
        float,
        typer.Option(
            "--max-wait", metavar="N", min=0, help="Seconds to wait for a master at most."
        ),
    ] = 300.0,
    locustfile: Locustfile = None,
) -> None:
    """Make load for a run whose master is elsewhere.

    A locustfile of your own must be the master's. The plan comes from the master. Secrets do not
    travel: the environment variables that the target names must be set here as well. Ends with
    the run.
    """
    users = readable(locustfile)
    typer.echo(f"waiting for a run at {master_host}:{master_port}", err=True)
    wait_for_master(master_host, master_port, max_wait_s, lambda text: typer.echo(text, err=True))
    status = _run(worker_command(master_host, master_port, processes, users))
    raise typer.Exit(status if status >= 0 else ExitCode.INTERNAL_ERROR)


def _run(command: list[str]) -> int:
    """Run Locust to its end, with signals passed on; return its exit status."""
    process = subprocess.Popen(command)
    for each in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda signum, _: process.send_signal(signum))
    return process.wait()


def worker_command(host: str, port: int, processes: int, locustfile: Path = PACKAGED) -> list[str]:
    """Return the Locust command that is a worker."""
    command = [*python_command("harness.load.start"), "-f", str(locustfile), "--worker"]
    command += ["--master-host", host, "--master-port", str(port)]
    return [*command, "--processes", str(processes)] if processes > 1 else command
