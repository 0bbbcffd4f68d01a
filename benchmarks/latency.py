"""Does work in the receiver change the latency it reports?"""

import time
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.memory import wait_joined
from benchmarks.receivers import Ours
from benchmarks.senders import NAMESPACES, ROOT, Emulator, event_of
from benchmarks.side_by_side import keep_apart

BUSY_NS = 60_000
PERCENTILE = 95.0
WARM_UP_MESSAGES = 4
"""Even, as ``busy_receiver`` tells messages apart by their parity."""
PAUSE_RATIO = 2.0
"""How long to wait after each message, in times of what the work on one takes: it must be done
before the next is sent, or both are read at once and share the stamp of the later one."""
SHORTEST_PAUSE_S = 0.2


class Reported(NamedTuple):
    """Fan-out p95 of the messages with extra work and of those without, in ms.

    Attributes:
        busy_ms: With the work, as the harness reports it; median.
        calm_ms: Without it.
        busy_user_ms: With the work, as a tool reports it that reads its own clock.
        calm_user_ms: Without it.
        differences_ms: Each message with work less the mean of its two neighbours without.
        connections: How many received.
        lost: Deliveries that never came.
    """

    busy_ms: float
    calm_ms: float
    busy_user_ms: float
    calm_user_ms: float
    differences_ms: tuple[float, ...]
    connections: int
    lost: int


def measure_latency(emulator: Emulator, connections: int, pairs: int, folder: Path) -> Reported:
    """Run the harness with many subscribers, and with work added to every other message.

    Args:
        emulator: What it joins; must have no other subscriptions.
        connections: Subscribers.
        pairs: How many messages with work, each between two without.
        folder: For its files.

    Raises:
        ProgramError: If not all of them joined.
    """
    results = folder / "busy"
    results.mkdir()
    ours = Ours(
        emulator,
        connections,
        folder,
        namespace=NAMESPACES[0],
        locustfiles=(ROOT / "benchmarks/busy_receiver.py",),
        environment={"BUSY_FOLDER": str(results), "BUSY_NS": str(BUSY_NS)},
    )
    try:
        wait_joined(emulator, [ours], connections)
        keep_apart([emulator], [ours])
        run_id = ours.run_id()
        pause_s = max(PAUSE_RATIO * connections * BUSY_NS / 1e9, SHORTEST_PAUSE_S)
        measured = range(WARM_UP_MESSAGES, WARM_UP_MESSAGES + 2 * pairs + 1)
        for number in range(measured.stop):
            emulator.send(ours.channel, event_of(run_id, number))
            time.sleep(pause_s)
        time.sleep(2.5)  # The harness takes its figures once a second.
    finally:
        ours.kill()
    return _reported(results, connections, measured)


def _reported(results: Path, connections: int, measured: range) -> Reported:
    parts: dict[tuple[str, int], list[npt.NDArray[np.int64]]] = defaultdict(list)
    for file in sorted(results.glob("[0-9]*.npz")):
        sequence = int(file.name.partition("-")[0])
        with np.load(file) as arrays:
            for clock in ("kernel", "user"):
                parts[clock, sequence].append(arrays[clock])
    p95_ms = {
        key: float(np.percentile(np.concatenate(ns), PERCENTILE)) / 1e6 for key, ns in parts.items()
    }
    arrived = sum(part.size for number in measured for part in parts["kernel", number])
    kernel_ms = {number: p95_ms["kernel", number] for number in measured}
    user_ms = {number: p95_ms["user", number] for number in measured}
    calm, busy = measured[0::2], measured[1::2]
    return Reported(
        busy_ms=median(kernel_ms[number] for number in busy),
        calm_ms=median(kernel_ms[number] for number in calm),
        busy_user_ms=median(user_ms[number] for number in busy),
        calm_user_ms=median(user_ms[number] for number in calm),
        differences_ms=differences(kernel_ms, calm),
        connections=connections,
        lost=len(measured) * connections - arrived,
    )


def differences(p95_ms: Mapping[int, float], calm: range) -> tuple[float, ...]:
    """Return how each message with work differs from the mean of its neighbours without.

    What drifts in the machine while messages go out is the same on both sides of each.
    """
    return tuple(
        p95_ms[before + 1] - (p95_ms[before] + p95_ms[after]) / 2
        for before, after in pairwise(calm)
    )
