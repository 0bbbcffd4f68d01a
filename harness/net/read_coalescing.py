"""Read in rounds while messages pour in: fewer wake-ups, the same arrival times.

A loop that is woken for the first message of a broadcast reads a few, sleeps, and is woken again,
and the sender's core pays for each time. Resting for some milliseconds before a round lets the
kernel gather the next ones, as network cards moderate their interrupts. Arrival times are the
kernel's and do not move; only the receive delay, the generator's own share, grows by up to the
rest.
"""

from collections.abc import Callable

from gevent.monkey import get_original

from harness.core.clock import NS_PER_S
from harness.net.reading import go_on_at_once
from harness.net.ring_reading import reader

COALESCING_DELAY_NS = 5_000_000
"""Length of a rest: a timer, and a message's way to the ledger, may be late by as much."""

_rest: Callable[[float], None] = get_original("time", "sleep")  # Locust patches the other.


class ReadCoalescing:
    """Lets this thread's reader rest before its rounds.

    Args:
        may_rest: Whether messages pour in, and nothing is due during a rest.
    """

    def __init__(self, may_rest: Callable[[], bool]) -> None:
        self._may_rest = may_rest

    def start(self) -> None:
        """Begin."""
        reader().before_round = self._before_round

    def stop(self) -> None:
        """End; safe to call twice."""
        reader().before_round = go_on_at_once

    def _before_round(self) -> None:
        if self._may_rest():
            _rest(COALESCING_DELAY_NS / NS_PER_S)
