"""What a held subscriber weighs: a large run less a small one, of the same age and traffic."""

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.programs import ProgramError, rss_bytes
from benchmarks.receivers import Ours
from benchmarks.senders import Emulator, event_of

MESSAGES = 4
"""Messages both have had; even, see ``benchmarks.latency``."""
JOIN_WITHIN_S = 60.0
KIB = 1024


def measure_memory(
    emulator: Emulator,
    connections: tuple[int, int],
    folder: Path,
    overrides: Sequence[str] = (),
) -> float | str:
    """Return KiB per connection, or why it could not be measured.

    Args:
        emulator: What they join; must have no other subscriptions.
        connections: Subscribers of the large and of the small run.
        folder: For its files.
        overrides: Further fields of the workload.
    """
    many = Ours(emulator, connections[0], folder, namespace="many", overrides=overrides)
    few = Ours(emulator, connections[1], folder, namespace="few", overrides=overrides)
    try:
        wait_joined(emulator, many, sum(connections))
        return weigh(emulator, many, few, connections)
    except ProgramError as error:
        return str(error)
    finally:
        few.kill()
        many.kill()


def wait_joined(emulator: Emulator, program: Ours, subscriptions: int) -> None:
    """Wait until the emulator holds that many subscriptions.

    Raises:
        ProgramError: If they do not join in time.
    """
    deadline = time.monotonic() + JOIN_WITHIN_S
    while emulator.subscriptions() < subscriptions:
        if not program.running or time.monotonic() > deadline:
            raise ProgramError(program.last_words())
        time.sleep(0.1)
    time.sleep(1.0)


def weigh(emulator: Emulator, many: Ours, few: Ours, connections: tuple[int, int]) -> float:
    """Send both the same messages and return KiB per connection."""
    for program in (few, many):
        run_id = program.run_id()
        for number in range(MESSAGES):
            emulator.send(program.channel, event_of(run_id, number))
            time.sleep(0.3)
    time.sleep(2.5)  # The harness takes its figures once a second.
    more_bytes = rss_bytes(many.pids()) - rss_bytes(few.pids())
    return more_bytes / (connections[0] - connections[1]) / KIB
