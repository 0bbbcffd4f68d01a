"""Flags of a run whose load is made by workers elsewhere."""

import math
import socket
from typing import Annotated

import typer

from harness.core.errors import MachineError

Master = Annotated[
    bool, typer.Option("--master", help="Leave the load to workers started elsewhere.")
]
ExpectWorkers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Begin when as many have come; needs --master."),
]
BindHost = Annotated[str, typer.Option(metavar="HOST", help="Address the master listens on.")]
BindPort = Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Its port.")]
MaxWait = Annotated[
    float,
    typer.Option(
        "--max-wait",
        metavar="N",
        min=0,
        help="Seconds to wait for the workers at most; 0 for no limit.",
    ),
]
AllowLostWorkers = Annotated[
    bool, typer.Option("--allow-lost-workers", help="Go on and judge without a lost worker.")
]
MeasureClocks = Annotated[
    bool, typer.Option("--measure-clocks", help="Measure clocks of workers on this machine too.")
]


def arguments(
    *,
    workers: int | None,
    master: bool,
    expected: int | None,
    bind: tuple[str, int],
    max_wait_s: float,
    allow_lost_workers: bool,
    measure_clocks: bool,
) -> list[str]:
    """Return the flags in Locust's words; none for a run whose load is made here.

    Raises:
        MachineError: If they contradict each other.
    """
    flags = {
        "--allow-lost-workers": allow_lost_workers,
        "--measure-clocks": measure_clocks,
    }
    found = [flag for flag, given in flags.items() if given]
    if master != (expected is not None):
        given, missing = "--master", "--expect-workers"
        given, missing = (given, missing) if master else (missing, given)
        raise MachineError("harness run", f"{given} without {missing}", "they belong together")
    if expected is None:
        return found
    if workers is not None:
        required = "their number is then --expect-workers, and each is started on its own machine"
        raise MachineError("harness run", "--workers with --master", required)
    host, port = bind
    _require_free(host, port)
    typer.echo(
        f"waiting for {expected} workers at port {port}; start each with: "
        f"harness worker --master-host THIS_MACHINE --master-port {port}",
        err=True,
    )
    meeting_point = ["--master-bind-host", host, "--master-bind-port", str(port)]
    patience = ["--expect-workers-max-wait", str(math.ceil(max_wait_s))]
    return [*found, "--master", "--expect-workers", str(expected), *patience, *meeting_point]


def _require_free(host: str, port: int) -> None:
    """Raise MachineError where a master could not listen; Locust would end without a word."""
    address = "" if host == "*" else host
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        found = (error.strerror or str(error)).partition(" (")[0].lower()
        hint = "choose another --bind-port, and tell the workers by --master-port"
        raise MachineError(
            f"master at {host}:{port}", found, "it must listen there", hint
        ) from None
