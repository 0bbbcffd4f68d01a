"""Receivers side by side: all stay connected, and each receives its messages in turn."""

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
"""For receivers that could not keep up with the fast rate."""
QUIET_S = 0.3
"""After the last message of a turn, until all of it has been received."""
ONCE_A_SECOND_S = 1.4
"""The same for the harness, to include its work of each second."""


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
class Contender:
    """A receiver, its sender and its measurements.

    Attributes:
        name: For the result.
        sender: Sends its messages.
        channel: Its own channel.
        program: The receiver.
        connections: How many it should hold.
        pace: How it is loaded.
        run_id: Goes into its messages.
        missing: Why it cannot be measured; empty if it can.
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
            self.missing = self.program.last_output()
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


def run_rounds(contenders: Sequence[Contender], rounds: int) -> None:
    """Measure every contender once a round, A B C A B C; ``rounds`` times."""
    _measure_idle(contenders, IDLE_S)
    for _ in range(rounds):
        for contender in contenders:
            if not contender.missing:
                _take_turn(contender)


def _take_turn(contender: Contender) -> None:
    """Add one turn; a contender that fails is out, and the others go on."""
    try:
        window = _turn(contender)
    except (RuntimeError, OSError, HTTPException) as error:
        contender.missing = str(error) or type(error).__name__
        return
    if window.deliveries and contender.program.running:
        contender.windows.append(window)
    else:
        contender.missing = contender.program.last_output()


def _measure_idle(contenders: Sequence[Contender], seconds: float) -> None:
    receivers, senders = (
        [_receiver_cpu(contender) for contender in contenders],
        [_sender_cpu(x) for x in contenders],
    )
    started = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    for contender, receiver, sender in zip(contenders, receivers, senders, strict=True):
        contender.idle = Window(
            elapsed, 0, _receiver_cpu(contender) - receiver, _sender_cpu(contender) - sender
        )


def _turn(contender: Contender) -> Window:
    deliveries = contender.sender.deliveries()
    started = time.monotonic()
    receiver, sender = _receiver_cpu(contender), _sender_cpu(contender)
    rate_per_s = contender.pace.rate_per_s
    for number in range(round(contender.pace.seconds * rate_per_s)):
        contender.send()
        time.sleep(max(started + (number + 1) / rate_per_s - time.monotonic(), 0.0))
    time.sleep(contender.pace.quiet_s)
    return Window(
        seconds=time.monotonic() - started,
        receiver_cpu_ns=_receiver_cpu(contender) - receiver,
        sender_cpu_ns=_sender_cpu(contender) - sender,
        deliveries=contender.sender.deliveries() - deliveries,
    )


def _receiver_cpu(contender: Contender) -> int:
    return cpu_ns(contender.program.pids())


def _sender_cpu(contender: Contender) -> int:
    return cpu_ns(contender.sender.pids())
