"""Does work in the receiver change the latency it reports?"""

import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.lanes import keep_apart
from benchmarks.memory import MESSAGES, wait_joined, weigh
from benchmarks.receivers import Ours
from benchmarks.senders import ROOT, Emulator, event_of

BUSY_NS = 60_000
PERCENTILE = 95.0


class Reported(NamedTuple):
    """Fan-out p95 of the messages with extra work and of those without, medians, in ms.

    Attributes:
        busy_ms: With the work, as the harness reports it.
        calm_ms: Without it.
        busy_user_ms: With the work, as a tool reports it that reads its own clock.
        calm_user_ms: Without it.
        difference_ms: Median over pairs of neighbouring messages of busy − calm.
        messages: How many of each kind.
        lost: Deliveries that never came.
    """

    busy_ms: float
    calm_ms: float
    busy_user_ms: float
    calm_user_ms: float
    difference_ms: float
    messages: int
    lost: int


class Many(NamedTuple):
    """What one large run of the harness showed.

    Attributes:
        reported: Latency with and without extra work.
        kib: Memory per connection.
        connections: Connections it held.
    """

    reported: Reported
    kib: float
    connections: int


def measure_many(
    emulator: Emulator, connections: int, few_connections: int, pairs: int, folder: Path
) -> Many:
    """Run the harness with many subscribers, and with work added to every other message.

    Args:
        emulator: What it joins; must have no other subscriptions.
        connections: Subscribers.
        few_connections: Subscribers of the small run beside it, for the memory.
        pairs: How many messages of each kind.
        folder: For its files.

    Raises:
        ProgramError: If not all of them joined.
    """
    results = folder / "busy"
    results.mkdir()
    environment = {"BUSY_FOLDER": str(results), "BUSY_NS": str(BUSY_NS)}
    busy = ROOT / "benchmarks/busy_receiver.py"
    few = Ours(emulator, few_connections, folder, namespace="few")
    ours = Ours(
        emulator,
        connections,
        folder,
        namespace="many",
        locustfiles=(busy,),
        environment=environment,
    )
    try:
        wait_joined(emulator, ours, connections + few_connections)
        keep_apart([emulator], [ours])
        kib = weigh(emulator, ours, few, (connections, few_connections))
        run_id = ours.run_id()
        # Four times what the work alone takes: one message must be done before the next, or both
        # are read at once and share the stamp of the later one.
        pause_s = max(4 * connections * BUSY_NS / 1e9, 0.2)
        for number in range(MESSAGES, MESSAGES + 2 * pairs):
            emulator.send(ours.channel, event_of(run_id, number))
            time.sleep(pause_s)
        time.sleep(2.5)  # The harness takes its figures once a second.
        return Many(_reported(results, connections, pairs), kib, connections)
    finally:
        few.kill()
        ours.kill()


def _reported(results: Path, connections: int, pairs: int) -> Reported:
    parts: dict[tuple[str, int], list[npt.NDArray[np.int64]]] = defaultdict(list)
    for file in sorted(results.glob("[0-9]*.npz")):
        sequence = int(file.name.partition("-")[0])
        with np.load(file) as arrays:
            for clock in ("kernel", "user"):
                parts[clock, sequence].append(arrays[clock])
    numbers = range(MESSAGES, MESSAGES + 2 * pairs)
    p95_ms = {
        key: float(np.percentile(np.concatenate(ns), PERCENTILE)) / 1e6 for key, ns in parts.items()
    }
    arrived = sum(part.size for number in numbers for part in parts["kernel", number])
    calm, busy = numbers[0::2], numbers[1::2]
    return Reported(
        busy_ms=median(p95_ms["kernel", number] for number in busy),
        calm_ms=median(p95_ms["kernel", number] for number in calm),
        busy_user_ms=median(p95_ms["user", number] for number in busy),
        calm_user_ms=median(p95_ms["user", number] for number in calm),
        difference_ms=median(
            p95_ms["kernel", number + 1] - p95_ms["kernel", number] for number in calm
        ),
        messages=pairs,
        lost=2 * pairs * connections - arrived,
    )
