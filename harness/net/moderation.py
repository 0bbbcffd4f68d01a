"""Read in rounds while messages pour in: fewer wake-ups, the same arrival times.

A loop that sleeps between two messages is woken by the kernel for each, and the sender's core pays
for that. Resting a few milliseconds after a round that brought messages lets the kernel gather the
next ones, as network cards moderate their interrupts. Arrival times are the kernel's and do not
move; only the receive delay, the generator's own share, grows by up to the rest.
"""

from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent.monkey import get_original

from harness.core.clock import NS_PER_S

REST_NS = 3_000_000
"""Length of a rest: a timer, and a message's way to the ledger, may be late by as much."""

_rest: Callable[[float], None] = get_original("time", "sleep")  # Locust patches the other.


class ReadModeration:
    """Rests this thread's loop after each round of its that brought messages.

    Args:
        may_rest: Whether messages came since it was last asked, and nothing is due during a rest.
    """

    def __init__(self, may_rest: Callable[[], bool]) -> None:
        self._may_rest = may_rest
        self._watcher: Any = get_hub().loop.prepare()

    def start(self) -> None:
        """Begin; the loop's life does not depend on it."""
        self._watcher.start(self._before_blocking)

    def stop(self) -> None:
        """End; safe to call twice."""
        self._watcher.stop()
        self._watcher.close()

    def _before_blocking(self) -> None:
        if self._may_rest():
            _rest(REST_NS / NS_PER_S)
