"""What all connections of a process do at regular intervals, with one timer in all.

A timer a connection would cost more than what it is for.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

ConnectionT = TypeVar("ConnectionT", bound=Hashable)


class Intervals(Generic[ConnectionT]):
    """The connections of a process, in the order in which they are due; made inside the loop.

    Args:
        interval_s: Time between two times that a connection is due, the same for all.
        act: Called with each connection that is due.
    """

    def __init__(self, interval_s: float, act: Callable[[ConnectionT], None]) -> None:
        self._interval_s = interval_s
        self._act = act
        self._loop = asyncio.get_running_loop()
        # With one interval for all, the order of insertion is the order of due times.
        self._due_s: dict[ConnectionT, float] = {}

    def restart(self, connection: ConnectionT) -> None:
        """Begin a connection's interval, or begin it anew."""
        self._due_s.pop(connection, None)
        self._due_s[connection] = self._loop.time() + self._interval_s

    def stop(self, connection: ConnectionT) -> None:
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
            self._act(connection)
