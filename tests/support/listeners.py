"""The listener of tests that drive clients, and the wait that lets their greenlets work."""

import functools

import gevent
import pytest

from harness.net.client import JoinError
from tests.support import waiting

wait_for = functools.partial(waiting.wait_for, sleep=gevent.sleep)


def refusal_of(join, *arguments, **named):
    """Return stage and code with which a join is refused."""
    with pytest.raises(JoinError) as caught:
        join(*arguments, **named)
    return caught.value.stage, caught.value.code


class Listener:
    """Records what a client reports; what it gives for an event is its text.

    Args:
        user_class: subscriber or chatter; a system may serve them in different ways.

    Attributes:
        known: What was given for the frames that were recognised.
        heard: These and the events that came to be parsed, in the order they came.
        confirmed_before: How many events had come when the subscription was confirmed.
        delivered_ns: When the last recognised frame reached the kernel.
    """

    def __init__(self, user_class="subscriber"):
        self.user_class = user_class
        self.events, self.known, self.heard = [], [], []
        self.answers, self.ends, self.refusals, self.waits_s = [], [], [], []
        self.confirmations = self.confirmed_ns = self.confirmed_before = self.delivered_ns = 0

    def event(self, payload, kernel_ns):
        text = payload.decode("utf-8", "replace")
        self.events.append(text)
        self.heard.append(text)
        return text

    def delivered(self, known, kernel_ns):
        self.known.append(known)
        self.heard.append(known)
        self.delivered_ns = kernel_ns

    def delivered_together(self, known, listeners, stamps_ns):
        for listener, kernel_ns in zip(listeners, stamps_ns.tolist(), strict=True):
            listener.delivered(known, kernel_ns)

    def confirmed(self, kernel_ns):
        self.confirmations += 1
        self.confirmed_ns, self.confirmed_before = kernel_ns, len(self.events)

    def answered(self, answer):
        self.answers.append(answer)

    def ended(self, code, reason, kernel_ns, outcome=""):
        self.ends.append((code, reason, outcome))

    def refused(self, stage, code, message):
        self.refusals.append((stage, code, message))

    def told_to_wait(self, wait_s):
        self.waits_s.append(wait_s)

    @property
    def refused_at(self):
        """Stage and code of each refusal."""
        return [(stage, code) for stage, code, _ in self.refusals]
