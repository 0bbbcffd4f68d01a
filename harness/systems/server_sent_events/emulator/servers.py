"""Dedicated servers of fixed capacity behind one address, and the operator who adds one more.

In front of them is one accept queue, as a balancer has it at its limit: each connection goes to the
server with the fewest; while all are full, or busy, none accepts. The short queue fills up, and the
kernel drops further SYNs. The clients' kernels retry by themselves at growing intervals, which is
what makes a client wait for minutes.

Source: tcp(7), tcp_syn_retries and tcp_abort_on_overflow; listen(2) on the accept queue.
"""

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from harness.emulation.counters import open_integers
from harness.emulation.emulated_service import EmulatedService
from harness.systems.server_sent_events.emulator.write_queues import TICK_S, WriteQueue
from harness.systems.server_sent_events.options import Options, Scaling, Servers

ASKED, ARRIVED = "servers.asked", "servers.arrived"

CHECK_S = 0.1
"""How often servers are looked at, and arrive."""

LEAD = 8
"""Connections that a process's servers may be ahead of another's: it may look a tick later."""

_DUE_NS, _OPEN, _WAITING, _FULL, _SEEN_NS = range(5)
"""Columns of a server in the shared table: when it is there (monotonic clock, 0 while not ordered
), connections it holds, deliveries that wait for it, whether it is full, and when its process
last said so."""
_COLUMNS = 5

Runners = Callable[["Server"], web.AppRunner]


class Server:
    """One server, which serves what it is given.

    Args:
        queue: What it has to write; None where that has no limit.
        tls: How it encrypts; None where it does not.
    """

    def __init__(
        self, limits: Servers, queue: WriteQueue | None, tls: ssl.SSLContext | None
    ) -> None:
        self.queue = queue
        self._limits = limits
        self._tls = tls
        self._accepts = 0.0
        self._coming: set[asyncio.Task[Any]] = set()

    async def begin(self, runner: web.AppRunner) -> None:
        """Be ready to serve."""
        self._runner = runner
        await runner.setup()

    @property
    def connections(self) -> int:
        """Connections it holds."""
        server = self._runner.server
        return len(self._coming) + (len(server.connections) if server else 0)

    @property
    def is_full(self) -> bool:
        """Whether it holds as many connections as it can."""
        most = self._limits.connections
        return most is not None and self.connections >= most

    @property
    def can_accept(self) -> bool:
        """Whether it has room, and time, for one more connection."""
        return not self.is_full and (self._limits.accepts_per_s is None or self._accepts >= 1)

    def pass_time(self, seconds: float) -> None:
        """Gain time for accepts, of which it saves up no more than for one look at the queue."""
        rate = self._limits.accepts_per_s or 0.0
        self._accepts = min(max(1.0, rate * TICK_S), self._accepts + rate * seconds)

    def serve(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted."""
        self._accepts -= 1
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        protocols: Any = self._runner.server
        coming = loop.create_task(
            loop.connect_accepted_socket(protocols, connection, ssl=self._tls)
        )
        self._coming.add(coming)
        coming.add_done_callback(self._came)

    def _came(self, coming: asyncio.Task[Any]) -> None:
        self._coming.discard(coming)
        if not coming.cancelled():
            coming.exception()  # A TLS handshake that failed is its client's affair.

    async def end(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


class Fleet:
    """The servers of one process, and in the first process the operator who adds servers.

    Server k is played by process k modulo their number.

    Args:
        listener: Listening socket in front of all servers of all processes.
        make_queue: Makes the queue of a server with a limit on its deliveries.
    """

    def __init__(
        self,
        service: EmulatedService[Options],
        limits: Servers,
        listener: socket.socket,
        make_queue: Callable[[float], WriteQueue],
    ) -> None:
        listener.setblocking(False)
        options, worker_context = service.options, service.worker_context
        self._limits = limits
        self._worker_context = worker_context
        self._listener = listener
        self._counters = service.counters
        self._log = service.faults.log
        self._make_queue = make_queue
        self._operator = Operator(options.scaling, options.seed, worker_context.started_s)
        self._servers: dict[int, Server] = {}
        self._rows = range(0, (limits.count + options.scaling.servers) * _COLUMNS, _COLUMNS)
        # In this table processes see each other's servers.
        self._table = open_integers(worker_context.folder / "servers", len(self._rows) * _COLUMNS)
        for row in self._rows[: limits.count]:
            self._table[row + _DUE_NS] = 1

    async def run(self, runner_of: Runners, tls: ssl.SSLContext | None) -> None:
        """Open servers that are due, order more and accept until cancelled; then stop all."""
        looked_s = accepted_s = time.monotonic()
        try:
            while True:
                now_s = time.monotonic()
                if now_s >= looked_s:
                    looked_s = now_s + CHECK_S
                    await self._open_those_due(runner_of, tls)
                    self._order_if_first()
                self._accept(now_s - accepted_s)
                accepted_s = now_s
                await asyncio.sleep(TICK_S)
        finally:
            for server in self._servers.values():
                await server.end()

    async def _open_those_due(self, runner_of: Runners, tls: ssl.SSLContext | None) -> None:
        """Open this process's servers whose time has come."""
        for number in range(
            self._worker_context.index, len(self._rows), self._worker_context.processes
        ):
            due_ns = self._table[self._rows[number] + _DUE_NS]
            if number in self._servers or not 0 < due_ns <= time.monotonic_ns():
                continue
            rate = self._limits.deliveries_per_s
            queue = None if rate is None else self._make_queue(rate)
            server = Server(self._limits, queue, tls)
            await server.begin(runner_of(server))
            self._servers[number] = server
            if number >= self._limits.count:
                self._counters.add(ARRIVED)
                self._log.add({"what": "server_arrived", "server": number})

    def _accept(self, passed_s: float) -> None:
        """Accept what waits in front, as far as there is capacity here."""
        for server in self._servers.values():
            server.pass_time(passed_s)
        self.note()
        most_ahead = self._fewest_on_others() + LEAD
        while able := [server for server in self._servers.values() if server.can_accept]:
            server = min(able, key=lambda server: server.connections)
            if server.connections > most_ahead:
                return
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            server.serve(connection)

    def _fewest_on_others(self) -> float:
        """Return the fewest connections of a server of another process that is not full."""
        fresh_ns = time.monotonic_ns() - round(CHECK_S * 1e9)
        return min(
            (
                self._table[row + _OPEN]
                for number, row in enumerate(self._rows)
                if number not in self._servers
                and self._table[row + _SEEN_NS] > fresh_ns
                and not self._table[row + _FULL]
            ),
            default=float("inf"),
        )

    def note(self) -> None:
        """Share the state of this process's servers with the other processes."""
        for number, server in self._servers.items():
            row = self._rows[number]
            self._table[row + _OPEN] = server.connections
            self._table[row + _WAITING] = server.queue.waiting if server.queue else 0
            self._table[row + _FULL] = server.is_full
            self._table[row + _SEEN_NS] = time.monotonic_ns()

    def _order_if_first(self) -> None:
        """Order one more server if the operator would by now; in the first process only."""
        if self._worker_context.index:
            return
        due_ns = [self._table[row + _DUE_NS] for row in self._rows]
        arrives_ns = self._operator.arrival_ns(is_overloaded=self._is_overloaded(), due_ns=due_ns)
        if arrives_ns is not None and 0 in due_ns:
            number = due_ns.index(0)
            self._table[self._rows[number] + _DUE_NS] = arrives_ns
            self._counters.add(ASKED)
            wait_s = (arrives_ns - time.monotonic_ns()) / 1e9
            self._log.add({"what": "server_asked", "server": number, "arrives_after_s": wait_s})

    def _is_overloaded(self) -> bool:
        """Say whether all servers are full, or deliveries wait for any."""
        there = [row for row in self._rows if self._table[row + _SEEN_NS]]
        is_full = bool(there) and all(self._table[row + _FULL] for row in there)
        return is_full or any(self._table[row + _WAITING] for row in there)

    def report(self) -> list[dict[str, Any]]:
        """Return the state of each server."""
        return [
            {
                "server": number,
                "connections": self._table[row + _OPEN],
                "deliveries_waiting": self._table[row + _WAITING],
                "is_full": bool(self._table[row + _FULL]),
            }
            for number, row in enumerate(self._rows)
            if self._table[row + _SEEN_NS]
        ]


class Operator:
    """The operator who orders servers: when, and how long each takes to arrive.

    Args:
        started_s: When the emulator was started, on ``time.monotonic``.
    """

    def __init__(self, scaling: Scaling, seed: int, started_s: float) -> None:
        self._scaling = scaling
        self._rng = random.Random(f"{seed}/scaling")
        self._asks_s = sorted(started_s + at_s for at_s in scaling.asked_at_s)
        self._overloaded_since_s: float | None = None

    def arrival_ns(self, *, is_overloaded: bool, due_ns: Iterable[int]) -> int | None:
        """Return when a server arrives that is ordered now; None where none is ordered.

        Args:
            is_overloaded: Whether any server is.
            due_ns: When each server was or is due, 0 for those not ordered.
        """
        now_s = time.monotonic()
        is_noticed = self._is_noticed(now_s, due_ns, is_overloaded=is_overloaded)
        if not (self._is_planned(now_s) or is_noticed):
            return None
        arrives = self._scaling.arrives_after_s
        return round((now_s + self._rng.uniform(arrives.minimum, arrives.maximum)) * 1e9)

    def _is_planned(self, now_s: float) -> bool:
        if self._asks_s and self._asks_s[0] <= now_s:
            self._asks_s.pop(0)
            return True
        return False

    def _is_noticed(self, now_s: float, due_ns: Iterable[int], *, is_overloaded: bool) -> bool:
        is_on_its_way = any(due > now_s * 1e9 for due in due_ns)
        if not is_overloaded or is_on_its_way or self._scaling.noticed_after_s is None:
            self._overloaded_since_s = None
            return False
        if self._overloaded_since_s is None:
            self._overloaded_since_s = now_s
        return now_s - self._overloaded_since_s >= self._scaling.noticed_after_s
