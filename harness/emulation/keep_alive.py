"""Keep-alive for all connections of a process, with one timer in all.

A timer a connection would cost more than what it sends.
"""

import asyncio
from typing import Protocol


class KeptAlive(Protocol):
    """A connection that has something to do at regular intervals."""

    def keep_alive(self) -> None:
        """Do it; called once an interval."""


class KeepAlive:
    """The connections of a process, in the order in which their next keep-alive is due.

    Args:
        interval_s: Time between two keep-alives of a connection, the same for all.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        # With one interval for all, the order of insertion is the order of due times.
        self._due_s: dict[KeptAlive, float] = {}

    def restart(self, connection: KeptAlive) -> None:
        """Begin a connection's interval, or begin it anew."""
        self._due_s.pop(connection, None)
        self._due_s[connection] = self._loop.time() + self._interval_s

    def stop(self, connection: KeptAlive) -> None:
        """Forget a connection."""
        self._due_s.pop(connection, None)

    async def run(self) -> None:
        """Sweep once a second, or more often where the interval is short; never returns."""
        pause_s = min(1.0, self._interval_s / 4)
        while True:
            await asyncio.sleep(pause_s)
            self._sweep()

    def _sweep(self) -> None:
        now_s = self._loop.time()
        due = []
        for connection, due_s in self._due_s.items():
            if due_s > now_s:
                break
            due.append(connection)
        for connection in due:
            self.restart(connection)
            connection.keep_alive()
