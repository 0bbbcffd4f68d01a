"""Which connections and deliveries a fault hits: drawn from its seed, and exact in number."""

import fcntl
import math
import os
import random
import sys
from collections.abc import Callable, Collection, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from harness.emulation.connection_writer import Connection, ConnectionWriter
from harness.emulation.counters import INTEGER_BYTES
from harness.scenario.faults import (
    Delay,
    DeliveryFault,
    Drop,
    Duplicate,
    FixedDelay,
    LognormalDelay,
    Malformed,
    Reorder,
    UniformDelay,
)

NEVER = sys.maxsize

P99_SIGMAS = 2.3263478740408408
"""The 99th percentile of the normal distribution, in standard deviations above the mean."""


class DeliveryOutcome(NamedTuple):
    """What becomes of a delivery.

    Attributes:
        dropped: Whether it never leaves.
        copies: Further copies that leave right behind it.
        depth: How many later deliveries of its subscription pass it.
        malformed: Forms of the malformed frames that leave before it.
        delay_s: How much later it leaves.
    """

    dropped: bool = False
    copies: int = 0
    depth: int = 0
    malformed: tuple[str, ...] = ()
    delay_s: float = 0.0


UNAFFECTED = DeliveryOutcome()


class Chance:
    """Hits each of a stream of things with the same probability.

    It draws how many to spare until the next hit and not each thing by itself: what is spared
    costs a subtraction, and many at once cost one.

    Attributes:
        spared: Things to come that are spared before the next is hit.
    """

    __slots__ = ("_log_miss", "_rng", "spared")

    def __init__(self, ratio: float, rng: random.Random) -> None:
        self._rng = rng
        self._log_miss = math.log1p(-ratio) if ratio < 1 else 0.0
        self.spared = self._draw()

    def _draw(self) -> int:
        return int(math.log(1.0 - self._rng.random()) / self._log_miss) if self._log_miss else 0

    def hits(self) -> bool:
        """Return whether the next thing is hit."""
        if self.spared:
            self.spared -= 1
            return False
        self.spared = self._draw()
        return True


class Claims:
    """Hits of the faults that have a limit, counted over all processes.

    Args:
        file: Made by the first process that needs it; a new one each time faults are replaced.
    """

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def claim(self, place: int, limit: int) -> bool:
        """Claim one more hit of the fault at a place; False once all have been claimed."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            offset = place * INTEGER_BYTES
            claimed = int.from_bytes(os.pread(self._file, INTEGER_BYTES, offset), "little")
            if claimed < limit:
                os.pwrite(self._file, (claimed + 1).to_bytes(INTEGER_BYTES, "little"), offset)
            return claimed < limit
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Members:
    """A share of the connections: of those that were open at first, and of those that came since.

    The share of each is right to the nearest whole connection.

    Args:
        share: Above 0; 1 for all of them.
        welcome: Called with each one of the share that comes later.
    """

    def __init__(
        self,
        writer: ConnectionWriter,
        share: float,
        rng: random.Random,
        welcome: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        present = list(writer.open)
        chosen = math.floor(share * len(present) + 0.5)
        self._writer = writer
        self._share = share
        self._welcome = welcome
        self._missing = 0.5
        self._chosen = dict.fromkeys(sorted(rng.sample(present, chosen), key=attrgetter("number")))
        writer.watchers.append(self)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._chosen

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._chosen))

    @property
    def is_everyone(self) -> bool:
        """Whether all connections belong to it."""
        return self._share == 1

    def joined(self, connection: Connection) -> None:
        """Add a new connection to the share, or not."""
        self._missing += self._share
        if self._missing >= 1:
            self._missing -= 1
            self._chosen[connection] = None
            self._welcome(connection)

    def left(self, connection: Connection) -> None:
        """Forget a connection that has gone."""
        self._chosen.pop(connection, None)

    def close(self) -> None:
        """Stop adding connections."""
        self._writer.watchers.remove(self)


class Choice:
    """Which deliveries a fault hits in this process; ``claim`` takes one more hit of its limit."""

    def __init__(
        self,
        fault: DeliveryFault,
        members: Members,
        rng: random.Random,
        claim: Callable[[int], bool],
    ) -> None:
        self.fault = fault
        self._rng = rng
        self._members = members
        self._limit = fault.count
        self._claim = claim
        self._given = frozenset(fault.deliveries)
        self._given_events = {event for event, _ in fault.deliveries}
        self._chance = Chance(fault.ratio, rng)
        if self._given:
            self._chance.spared = NEVER

    def spares(self, events: Collection[int], deliveries: int) -> bool:
        """Return whether none of the next deliveries of these events is hit, to any connection."""
        if not self._members.is_everyone:
            return False
        return self._chance.spared >= deliveries and self._given_events.isdisjoint(events)

    def skip(self, deliveries: int) -> None:
        """Pass over so many deliveries that were found to be spared."""
        if self._chance.spared != NEVER:
            self._chance.spared -= deliveries

    def hits(self, event: int, subscription: int, connection: Connection) -> bool:
        """Return whether the next delivery is hit, given its numbers and where it goes."""
        if self._given:
            return (event, subscription) in self._given
        is_over = self._chance.spared == NEVER
        if is_over or connection not in self._members or not self._chance.hits():
            return False
        if self._limit is None or self._claim(self._limit):
            return True
        self._chance.spared = NEVER
        return False

    def change(self, outcome: DeliveryOutcome) -> DeliveryOutcome:
        """Return what becomes of a delivery that this fault hits too."""
        match self.fault:
            case Drop():
                return outcome._replace(dropped=True)
            case Duplicate():
                return outcome._replace(copies=outcome.copies + 1)
            case Reorder(depth=depth):
                return outcome._replace(depth=max(outcome.depth, depth))
            case Malformed(form=form):
                return outcome._replace(malformed=(*outcome.malformed, form))
            case Delay(delay_ms=delay):
                return outcome._replace(delay_s=outcome.delay_s + draw_delay_s(delay, self._rng))
        return outcome

    def close(self) -> None:
        """End the fault."""
        self._members.close()


def draw_delay_s(delay: FixedDelay | UniformDelay | LognormalDelay, rng: random.Random) -> float:
    """Draw a delay in seconds."""
    if isinstance(delay, FixedDelay):
        return delay.value / 1000
    if isinstance(delay, UniformDelay):
        return rng.uniform(delay.minimum, delay.maximum) / 1000
    sigma = math.log(delay.p99 / delay.median) / P99_SIGMAS
    return rng.lognormvariate(math.log(delay.median), sigma) / 1000
