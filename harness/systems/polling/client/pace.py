"""How long one user waits from poll to poll."""

import random
import time
from typing import TYPE_CHECKING

from harness.systems.polling import wire

if TYPE_CHECKING:
    from harness.systems.polling.options import ClientOptions

BACKOFF_DOUBLINGS = 5
"""A server that has too much to do is asked again after up to 2 to 32 intervals, at random."""


class Pace:
    """One user's waits: the interval with jitter, or what a busy server asks for.

    Args:
        options: Of the target's clients.

    Attributes:
        interval_s: As the options or the server name it.
    """

    __slots__ = ("_busy_count", "_has_begun", "_options", "interval_s")

    def __init__(self, options: "ClientOptions") -> None:
        self._options = options
        self._has_begun = False
        self._busy_count = 0
        self.interval_s = options.interval_s

    def hear(self, interval_s: float | None) -> None:
        """Take the interval that a good answer names, if it is to be followed."""
        self._busy_count = 0
        if interval_s is not None and self._options.follow_server_interval:
            self.interval_s = interval_s

    def wait_s(self) -> float:
        """Return the time from the sending of the last poll to the next.

        The first is a random part of one interval: who came together does not poll together.
        """
        if not self._has_begun:
            self._has_begun = True
            return self.interval_s * random.random()
        return self.interval_s * (1.0 + self._options.jitter_ratio * random.uniform(-1.0, 1.0))

    def busy_wait_s(self, retry_after: str) -> float:
        """Return the time from now on for which a busy server is left alone.

        Args:
            retry_after: The header; where there is none, the waits get longer each time, at
                random between one interval and a limit that doubles (full jitter).
        """
        asked_s = wire.retry_after_s(retry_after, time.time())
        if asked_s is not None:  # Not before; and not all who were told so at once.
            return asked_s + self.interval_s * self._options.jitter_ratio * random.random()
        self._busy_count = min(self._busy_count + 1, BACKOFF_DOUBLINGS)
        return self.interval_s * random.uniform(1.0, 2.0**self._busy_count)
