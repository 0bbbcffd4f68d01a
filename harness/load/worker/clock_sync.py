"""A worker's offset to the run clock, measured over the control channel for as long as it runs."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent

from harness.core.clock import NS_PER_MS, machine_id
from harness.core.clock_offset import OffsetEstimator, Reading
from harness.load import worker_protocol
from harness.load.internal_errors import on_death
from harness.load.worker_info import WorkerInfo
from harness.measure.record_schema import ClockRow

REGISTER_EVERY_S = 1.0
FIRST_EXCHANGES = 24
FIRST_EVERY_S = 0.02
EXCHANGE_EVERY_S = 0.5
"""At this interval, drift adds at most a quarter of a millisecond to the bound."""


class ClockSync:
    """Registers a worker with its master, then keeps measuring its offset to the run clock.

    On the master's own machine there is one clock, so the offset is 0 and no request is sent.

    Args:
        send: Sends a message of a kind with data to the master.
        systems: The systems that this worker's users can join.
        users: Fingerprint of its locustfile.
        locustfile: Its locustfile's name; empty for the packaged one.
    """

    def __init__(
        self,
        send: Callable[[str, dict[str, Any]], None],
        systems: Sequence[str] = (),
        users: str = "",
        locustfile: str = "",
    ) -> None:
        self._send = send
        self._systems = tuple(systems)
        self._users = users
        self._locustfile = locustfile
        self._estimator = OffsetEstimator()
        self._registered = False
        self._same_clock = False
        self._worst_error_ns = 0
        self._exchanges = 0
        self.offset_ns = 0
        """Run clock minus this host's realtime clock, by the best estimate so far."""
        self.on_offset: Callable[[int], None] = lambda _offset_ns: None
        """Called with each new offset."""

    @classmethod
    def local(cls) -> "ClockSync":
        """Return that of a process whose clock is the run clock."""
        sync = cls(lambda _kind, _data: None)
        sync._registered = sync._same_clock = True
        return sync

    def start(self, fail: Callable[[str], None]) -> None:
        """Start to register and to send clock requests; ``fail`` gets the reason if that ends."""
        on_death(gevent.spawn(self._run), fail)

    def _run(self) -> None:
        me = WorkerInfo.here(self._systems, self._users, self._locustfile).to_message()
        while not self._registered:
            self._send(worker_protocol.REGISTER, me)
            gevent.sleep(REGISTER_EVERY_S)
        requests = 0
        while not self._same_clock:
            self._send(worker_protocol.CLOCK_REQUEST, {"asked_ns": time.time_ns()})
            requests += 1
            gevent.sleep(FIRST_EVERY_S if requests < FIRST_EXCHANGES else EXCHANGE_EVERY_S)
            if requests == FIRST_EXCHANGES:
                self._send(worker_protocol.READY, {})

    def registered(self, run_clock_of: str) -> None:
        """Take the machine whose clock is the run clock; "" requires measuring on any machine."""
        again, self._registered = self._registered, True
        self._same_clock = run_clock_of == machine_id()
        if self._same_clock and not again:
            self._send(worker_protocol.READY, {})

    def replied(self, asked_ns: int, answered_ns: int) -> None:
        """Take the master's reply to a clock request."""
        now_ns = time.time_ns()
        self._exchanges += 1
        self._note_error(now_ns)
        contradicted_ns = self._estimator.add(Reading(asked_ns, answered_ns, now_ns))
        self._worst_error_ns = max(self._worst_error_ns, contradicted_ns)
        found = self._estimator.estimate(now_ns)
        if found is not None and found.offset_ns != self.offset_ns:
            self.offset_ns = found.offset_ns
            self.on_offset(found.offset_ns)

    def _note_error(self, now_ns: int) -> None:
        found = self._estimator.estimate(now_ns)
        if found is not None:
            self._worst_error_ns = max(self._worst_error_ns, found.error_ns)

    def take_row(self) -> ClockRow:
        """Return the offset, its largest error since the last call, and the round trip."""
        exchanges, self._exchanges = self._exchanges, 0
        row: ClockRow = {
            "clock_offset_ms": None,
            "clock_error_ms": None,
            "clock_round_trip_ms": None,
            "clock_exchanges": exchanges,
        }
        if self._same_clock:
            return {**row, "clock_offset_ms": 0.0, "clock_error_ms": 0.0}
        now_ns = time.time_ns()
        self._note_error(now_ns)
        found, worst_ns = self._estimator.estimate(now_ns), self._worst_error_ns
        self._worst_error_ns = 0
        if found is None:
            return row
        return {
            **row,
            "clock_offset_ms": found.offset_ns / NS_PER_MS,
            "clock_error_ms": worst_ns / NS_PER_MS,
            "clock_round_trip_ms": found.round_trip_ns / NS_PER_MS,
        }
