import random
import time

import gevent
import pytest

from harness.core.clock import NS_PER_MS, machine_id
from harness.load import worker_protocol
from harness.load.worker import clock_sync
from harness.load.worker.clock_sync import ClockSync
from tests.support.waiting import PATIENCE_S

AHEAD_NS = 300 * NS_PER_MS


class Link:
    """A master whose clock is ahead, at the end of a line that is slow there and back."""

    def __init__(self, there_s=0.0, back_s=0.0, run_clock_of=""):
        self.sync = ClockSync(self.send)
        self._there_s, self._back_s = there_s, back_s
        self._run_clock_of = run_clock_of
        self.sent = []

    def send(self, kind, data):
        self.sent.append(kind)
        gevent.spawn(after, self._there_s + random.uniform(0, 0.005), self._answer, kind, data)

    def _answer(self, kind, data):
        if kind == worker_protocol.REGISTER:
            gevent.spawn(after, self._back_s, self.sync.registered, self._run_clock_of)
        elif kind == worker_protocol.CLOCK_REQUEST:
            told_ns = time.time_ns() + AHEAD_NS
            gevent.spawn(after, self._back_s, self.sync.replied, data["asked_ns"], told_ns)

    def until(self, kind):
        with gevent.Timeout(PATIENCE_S):
            while kind not in self.sent:
                gevent.sleep(0.01)


def after(seconds, call, *arguments):
    """Call once so much time has passed: a timer of a busy loop fires early, by its cached time."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        gevent.sleep(left)
    call(*arguments)


def taken(sync):
    """Return a row of which nothing is missing."""
    row = sync.take_row()
    assert None not in row.values()
    return row


@pytest.mark.parametrize(("there_s", "back_s"), [(0.0, 0.0), (0.03, 0.002), (0.002, 0.03)])
def test_offset_is_found_within_its_bound(there_s, back_s):
    """Whatever way is slow, the true offset of 300 ms is no farther off than the bound says."""
    link = Link(there_s, back_s)
    adopted = []
    link.sync.on_offset = adopted.append
    link.sync.start(pytest.fail)
    link.until(worker_protocol.READY)
    row = taken(link.sync)
    assert abs(row["clock_offset_ms"] - 300.0) <= row["clock_error_ms"]
    assert row["clock_round_trip_ms"] >= (there_s + back_s) * 1000.0
    assert link.sync.offset_ns == adopted[-1]


def test_worker_on_the_masters_machine_asks_nothing():
    """There is one clock, so the offset is 0 and exactly so."""
    link = Link(run_clock_of=machine_id())
    link.sync.start(pytest.fail)
    link.until(worker_protocol.READY)
    gevent.sleep(0.05)
    assert worker_protocol.CLOCK_REQUEST not in link.sent
    row = link.sync.take_row()
    assert (0.0, 0.0, 0) == (row["clock_offset_ms"], row["clock_error_ms"], row["clock_exchanges"])


def test_registration_is_repeated_until_it_is_answered(monkeypatch):
    """A master that does not listen yet receives a later one."""
    monkeypatch.setattr(clock_sync, "REGISTER_EVERY_S", 0.01)
    sent = []
    sync = ClockSync(lambda kind, _data: sent.append(kind))
    sync.start(pytest.fail)
    with gevent.Timeout(PATIENCE_S):
        while len(sent) < 3:
            gevent.sleep(0.01)
    sync.registered(machine_id())
    assert {worker_protocol.REGISTER, worker_protocol.READY} == set(sent)


def test_step_of_the_clock_is_in_the_bound_of_its_second():
    """Between two exchanges a clock was set by 80 ms: the bound of that second includes it."""
    sync = ClockSync(lambda _kind, _data: None)
    began_ns = now_ns = time.time_ns()
    sync.replied(now_ns, now_ns)
    sync.take_row()
    now_ns = time.time_ns()
    sync.replied(now_ns, now_ns + 80 * NS_PER_MS)
    stepped, settled = taken(sync)["clock_error_ms"], taken(sync)["clock_error_ms"]
    took_ms = (time.time_ns() - began_ns) / NS_PER_MS  # A busy machine widens both bounds.
    assert 80.0 - took_ms <= stepped <= 81.0 + took_ms
    assert settled <= 1.0 + took_ms
