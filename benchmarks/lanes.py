"""Receivers side by side: all stay connected, and each gets its messages in turn."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

from benchmarks.programs import Program, cpu_ns, pin
from benchmarks.senders import Sender, event_of
from benchmarks.table import Cost, Window, cost

IDLE_S = 3.0
FAST_PER_S = 60.0
"""Messages a second for receivers that can take them: with 500 connections 30,000 deliveries a
second, about what one worker of the harness is given under the reference load."""
SLOW_PER_S = 16.0
"""For those that could not keep up with the other."""
QUIET_S = 0.3
"""After the last message of a turn, until all of it has been received."""
ONCE_A_SECOND_S = 1.4
"""The same for the harness, which takes its figures once a second: that work is counted in."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a receiver is loaded in its turn.

    Attributes:
        rate_per_s: Messages a second.
        seconds: For how long.
        quiet_s: How long it is left alone afterwards; counted in.
    """

    rate_per_s: float
    seconds: float
    quiet_s: float


@dataclass(slots=True)
class Lane:
    """A receiver, what sends to it, and what came of it.

    Attributes:
        name: For the result.
        sender: What sends to it.
        channel: What it alone listens on.
        program: The receiver.
        connections: How many it should hold.
        pace: How it is loaded.
        run_id: Goes into its messages.
        missing: Why it cannot be measured; empty where it can.
        sent: Messages so far.
        windows: One a round.
        idle: All connected, nothing sent.
    """

    name: str
    sender: Sender
    channel: str
    program: Program
    connections: int
    pace: Pace
    run_id: str = "benchmark"
    missing: str = ""
    sent: int = 0
    windows: list[Window] = field(default_factory=list)
    idle: Window | None = None

    def send(self) -> None:
        """Publish one message to this receiver."""
        self.sender.send(self.channel, event_of(self.run_id, self.sent))
        self.sent += 1

    def check(self) -> None:
        """Send one message, and see that there are as many to get it as there should be."""
        if not self.program.running:
            self.missing = self.program.last_words()
            return
        before = self.sender.deliveries()
        self.send()
        time.sleep(0.1)
        reached = self.sender.deliveries() - before
        if reached != self.connections:
            self.missing = f"{reached} of {self.connections} connections joined in time"

    def receiver_cost(self) -> Cost | str:
        """Return what a delivery costs to receive, or why that is not known."""
        if self.missing or self.idle is None:
            return self.missing
        return cost(self.windows, self.idle)

    def sender_cost(self) -> Cost | str:
        """Return what a delivery costs to send, or why that is not known."""
        if self.missing or self.idle is None:
            return self.missing
        return cost(self.windows, self.idle, sender=True)


def keep_apart(senders: Sequence[Sender], programs: Sequence[Program]) -> None:
    """Give the senders one CPU and the receivers another, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        for sender in senders:
            pin(sender.pids(), {cpus[0]})
        for program in programs:
            pin(program.pids(), {cpus[1]})


def run_rounds(lanes: Sequence[Lane], rounds: int) -> None:
    """Measure every lane once a round, A B C A B C; ``rounds`` times."""
    _measure_idle(lanes, IDLE_S)
    for _ in range(rounds):
        for lane in lanes:
            if not lane.missing:
                _take_turn(lane)


def _take_turn(lane: Lane) -> None:
    """Add one turn; a lane that fails is out, and the others go on."""
    try:
        window = _turn(lane)
    except (RuntimeError, OSError, HTTPException) as error:
        lane.missing = str(error) or type(error).__name__
        return
    if window.deliveries and lane.program.running:
        lane.windows.append(window)
    else:
        lane.missing = lane.program.last_words()


def _measure_idle(lanes: Sequence[Lane], seconds: float) -> None:
    receivers, senders = [_receiver_cpu(lane) for lane in lanes], [_sender_cpu(x) for x in lanes]
    started = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    for lane, receiver, sender in zip(lanes, receivers, senders, strict=True):
        lane.idle = Window(elapsed, 0, _receiver_cpu(lane) - receiver, _sender_cpu(lane) - sender)


def _turn(lane: Lane) -> Window:
    deliveries = lane.sender.deliveries()
    started = time.monotonic()
    receiver, sender = _receiver_cpu(lane), _sender_cpu(lane)
    rate_per_s = lane.pace.rate_per_s
    for number in range(round(lane.pace.seconds * rate_per_s)):
        lane.send()
        time.sleep(max(started + (number + 1) / rate_per_s - time.monotonic(), 0.0))
    time.sleep(lane.pace.quiet_s)
    return Window(
        seconds=time.monotonic() - started,
        receiver_cpu_ns=_receiver_cpu(lane) - receiver,
        sender_cpu_ns=_sender_cpu(lane) - sender,
        deliveries=lane.sender.deliveries() - deliveries,
    )


def _receiver_cpu(lane: Lane) -> int:
    return cpu_ns(lane.program.pids())


def _sender_cpu(lane: Lane) -> int:
    return cpu_ns(lane.sender.pids())
