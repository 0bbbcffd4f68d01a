"""Memory per held subscriber: the slope over runs of several sizes, side by side."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.programs import ProgramError, rss_bytes
from benchmarks.receivers import Ours
from benchmarks.senders import NAMESPACES, PATIENCE_S, Emulator, event_of, wait_for
from benchmarks.slope import Slope, fit_slope

MESSAGES = 4
"""What each run is sent before it is weighed."""
KIB = 1024


class Weight(NamedTuple):
    """What a held subscriber weighs.

    Attributes:
        kib: Slope of memory over connections.
        rss_kib: Resident memory of each run by its number of connections.
    """

    kib: Slope
    rss_kib: Mapping[int, float]


def measure_memory(
    emulator: Emulator, sizes: Sequence[int], folder: Path, overrides: Sequence[str] = ()
) -> Weight | str:
    """Return the weight of a connection, or why it could not be measured.

    Args:
        emulator: What they join; must have no other subscriptions.
        sizes: Subscribers of each run, three at least; a process holds one run.
        folder: For its files.
        overrides: Further fields of the workload.
    """
    with ExitStack() as stack:
        runs = []
        for size, namespace in zip(sizes, NAMESPACES, strict=False):
            run = Ours(emulator, size, folder, namespace=namespace, overrides=overrides)
            stack.callback(run.kill)
            runs.append(run)
        try:
            wait_joined(emulator, runs, sum(sizes))
            rss_kib = _weigh(emulator, runs)
        except ProgramError as error:
            return str(error)
    return Weight(fit_slope(sizes, rss_kib), dict(zip(sizes, rss_kib, strict=True)))


def wait_joined(emulator: Emulator, programs: Sequence[Ours], subscriptions: int) -> None:
    """Wait until the emulator holds that many subscriptions.

    Raises:
        ProgramError: If a program ends, or joining stops.
    """
    held = wait_for(
        emulator, lambda: subscriptions if all(program.running for program in programs) else 0
    )
    for program in programs:
        if not program.running:
            raise ProgramError(program.last_output())
    if held < subscriptions:
        raise ProgramError(
            f"{held} of {subscriptions} joined, then none for {PATIENCE_S:.0f} s; "
            f"the last one says: {programs[-1].last_output()}"
        )
    time.sleep(1.0)


def _weigh(emulator: Emulator, runs: Sequence[Ours]) -> list[float]:
    """Send all runs the same messages and return the memory of each, in KiB."""
    run_ids = [run.run_id() for run in runs]
    for number in range(MESSAGES):
        for run, run_id in zip(runs, run_ids, strict=True):
            emulator.send(run.channel, event_of(run_id, number))
        time.sleep(0.3)
    time.sleep(2.5)  # The harness takes its figures once a second.
    return [rss_bytes(run.pids()) / KIB for run in runs]
