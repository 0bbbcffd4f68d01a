"""The active faults of one emulator process and what they hit, decided from schedule and seed.

Every emulator asks it at the same points: when a client connects, when it shows credentials, when
it publishes, and once for each broadcast. Only a broadcast that a fault may hit asks for each
delivery; see ``may_hit``.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, TypeVar

from harness.emulation.connection_writer import (
    Connection,
    ConnectionWriter,
    Transport,
    end_connection,
)
from harness.emulation.fault_choices import (
    UNAFFECTED,
    Chance,
    Choice,
    Claims,
    DeliveryOutcome,
    Members,
    draw_delay_s,
)
from harness.emulation.fault_log import FaultLog
from harness.emulation.quotas import Rate
from harness.emulation.scheduler import Action, Scheduler
from harness.emulation.worker import WorkerContext
from harness.scenario.faults import (
    DeliveryFault,
    Disconnect,
    Drop,
    ExpireCredentials,
    Fault,
    RefuseConnects,
    SlowAccept,
    Stall,
    ThrottleConnects,
    ThrottlePublishes,
)

T = TypeVar("T")


class ConnectOutcome(NamedTuple):
    """What becomes of a client that connects.

    Attributes:
        delay_s: How long it waits for any answer.
        refused: Whether it is sent away before the handshake is over.
        status: HTTP status it then gets; None where the connection is reset.
        throttled: Whether it is throttled.
    """

    delay_s: float = 0.0
    refused: bool = False
    status: int | None = None
    throttled: bool = False


class _Active(NamedTuple):
    """A fault that is going on, whom it hits, and where it draws the rest from."""

    fault: Fault
    chance: Chance
    rng: random.Random


class Faults:
    """The faults of one process; made inside the running event loop.

    Args:
        seed: Chooses what they hit, together with each fault's own.
    """

    def __init__(
        self, context: WorkerContext, writer: ConnectionWriter, scheduler: Scheduler, seed: int
    ) -> None:
        self.log = FaultLog(context, writer.counters)
        self._writer = writer
        self._scheduler = scheduler
        self._counters = writer.counters
        self._context = context
        self._seed = seed
        self._claims: Claims | None = None
        self._ends: list[Action] = []
        self._deliveries: list[Choice] = []
        self._connects: list[_Active] = []
        self._publishes: list[Chance] = []
        self._expiries: list[ExpireCredentials] = []
        self._stalls: list[Stall] = []

    def play(self, faults: Sequence[Fault], began_s: float, label: str) -> None:
        """Play these faults from now on, in place of those told before.

        Their time 0 on ``time.monotonic`` and their label are the same for all processes; other
        faults have other labels.
        """
        self._end_all()
        self._claims = Claims(self._context.folder / f"claims-{label}")
        for place, fault in enumerate(faults):
            begin = partial(self._begin, fault, place, began_s, self._claims)
            if began_s + fault.from_s <= time.monotonic():
                begin()
            else:
                self._scheduler.at(began_s + fault.from_s, begin)

    def close(self) -> None:
        """End all faults and close the log of what they hit."""
        self._end_all()
        self.log.close()

    def _end_all(self) -> None:
        while self._ends:
            self._ends.pop()()
        if self._claims is not None:
            self._claims.close()
            self._claims = None

    def _begin(self, fault: Fault, place: int, began_s: float, claims: Claims) -> None:
        until_s = getattr(fault, "until_s", None)
        is_over = until_s is not None and began_s + until_s <= time.monotonic()
        if claims is not self._claims or is_over:
            return  # Others were told since, or we are too late.
        rng = random.Random(f"{self._seed}/{fault.seed}/{place}/{self._context.index}")
        end = self._start(fault, rng, partial(claims.claim, place))
        self._ends.append(end)
        if until_s is not None:
            self._scheduler.at(began_s + until_s, partial(self._end, end))

    def _end(self, end: Action) -> None:
        if end in self._ends:
            self._ends.remove(end)
            end()

    def _start(self, fault: Fault, rng: random.Random, claim: Callable[[int], bool]) -> Action:
        """Let a fault begin; return what ends it."""
        match fault:
            case Disconnect():
                return self._disconnect(fault, rng)
            case Stall():
                return self._stall(fault, rng)
            case ExpireCredentials():
                return _listed(self._expiries, fault)
            case ThrottlePublishes():
                return _listed(self._publishes, Chance(fault.ratio, rng))
            case RefuseConnects() | ThrottleConnects() | SlowAccept():
                return _listed(self._connects, _Active(fault, Chance(fault.ratio, rng), rng))
            case _:
                return self._hit_deliveries(fault, rng, claim)

    def _disconnect(self, fault: Disconnect, rng: random.Random) -> Action:
        members = Members(self._writer, fault.share, rng)
        members.close()
        cut = [connection for connection in members if self._writer.is_listening(connection)]
        for connection in cut:
            self._writer.cut(connection, fault.code)
        self._log_connections("disconnected", cut)
        return _nothing

    def _stall(self, fault: Stall, rng: random.Random) -> Action:
        def begin(*connections: Connection) -> None:
            for connection in connections:
                connection.stall(replies=fault.replies)
            self._log_connections("stalled", connections)

        members = Members(self._writer, fault.share, rng, begin)
        self._stalls.append(fault)
        begin(*members)

        def end() -> None:
            members.close()
            self._stalls.remove(fault)
            for connection in members:
                connection.end_stall(replies=fault.replies)
            self._log_connections("released", list(members))

        return end

    def _hit_deliveries(
        self, fault: DeliveryFault, rng: random.Random, claim: Callable[[int], bool]
    ) -> Action:
        choice = Choice(fault, Members(self._writer, fault.share, rng), rng, claim)
        self._deliveries.append(choice)
        # What is dropped must not be counted as hit by another fault.
        self._deliveries.sort(key=lambda choice: not isinstance(choice.fault, Drop))

        def end() -> None:
            choice.close()
            self._deliveries.remove(choice)

        return end

    def _log_connections(self, what: str, connections: Sequence[Connection]) -> None:
        """Write one entry for all of them: there may be tens of thousands."""
        if connections:
            numbers = [connection.number for connection in connections]
            peers = [connection.peer for connection in connections]
            self.log.add({"what": what, "connections": numbers, "peers": peers})

    def on_connect(self, quota: Rate | None = None) -> ConnectOutcome:
        """Decide what becomes of a client that connects, and count it unless it is admitted."""
        outcome = ConnectOutcome()
        for fault, chance, rng in self._connects:
            if not chance.hits():
                continue
            match fault:
                case RefuseConnects():
                    outcome = outcome._replace(refused=True, status=fault.status)
                case ThrottleConnects():
                    outcome = outcome._replace(throttled=True)
                case SlowAccept():
                    outcome = outcome._replace(delay_s=draw_delay_s(fault.delay_ms, rng))
        if outcome.delay_s:
            self._counters.add("connects.slowed")
        if outcome.refused:
            self._counters.add("connects.refused.fault")
        elif outcome.throttled:
            self._counters.add("connects.throttled.fault")
        elif quota is not None and not quota.take():
            self._counters.add("connects.throttled.quota")
            return outcome._replace(throttled=True)
        return outcome

    def on_credentials(self) -> bool:
        """Decide whether credentials that are shown now count as expired, and count it."""
        if self._expiries:
            self._counters.add("credentials.expired")
        return bool(self._expiries)

    def on_publish(self) -> bool:
        """Decide whether a publish is throttled, and count it."""
        # Each is asked, so that what one decides leaves the others' draws as they are.
        hits = [chance.hits() for chance in self._publishes]
        if any(hits):
            self._counters.add("publishes.throttled.fault")
        return any(hits)

    def may_hit(self, events: Collection[int], deliveries: int) -> bool:
        """Return whether any of the next deliveries may be hit; if not, they are passed over."""
        if self._stalls or not self._deliveries:
            return bool(self._stalls)
        if not all(choice.spares(events, deliveries) for choice in self._deliveries):
            return True
        for choice in self._deliveries:
            choice.skip(deliveries)
        return False

    def on_delivery(self, event: int, subscription: int, connection: Connection) -> DeliveryOutcome:
        """Decide what becomes of one delivery, given its numbers and where it goes."""
        outcome = UNAFFECTED
        for choice in self._deliveries:
            if choice.hits(event, subscription, connection):
                outcome = choice.change(outcome)
                if outcome.dropped:
                    break
        return outcome


async def refusal_status(outcome: ConnectOutcome, transport: Transport) -> int | None:
    """Delay, and reset where that is the outcome, a client that connects.

    Returns:
        The status of its refusal; None where it is not refused.
    """
    if outcome.delay_s:
        await asyncio.sleep(outcome.delay_s)
    if not outcome.refused:
        return None
    if outcome.status is None:
        end_connection(transport, None)
    return outcome.status or HTTPStatus.BAD_GATEWAY


def _nothing() -> None:
    """End what was over when it began."""


def _listed(items: list[T], item: T) -> Action:
    """Add an item to a list; return what takes it out again."""
    items.append(item)
    return partial(items.remove, item)
