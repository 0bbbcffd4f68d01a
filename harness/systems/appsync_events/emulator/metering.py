"""What AWS would bill for: operations by kind, in steps of 5 KB, and connection minutes.

Source: aws.amazon.com/appsync/pricing and the usage types EventAPI-Operation and
EventAPI-ConnectionDuration of the AWS Price List, read November 2026. What they leave open is
decided by ``options.Undocumented``.
"""

import bisect
import math
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import orjson

from harness.emulation.counters import Counters
from harness.systems.appsync_events.options import Undocumented

STEP_BYTES = 5 * 1024
"""Each operation is metered in steps of 5 KB, which the source does not define further."""

CONNECTED_MS = "billed.connection_ms"
_OPERATIONS = ("inbound", "handlers", "connects", "subscribes", "unsubscribes", "pings")
OPERATION_COUNTS = tuple(f"billed.{kind}" for kind in _OPERATIONS)
BILLED_COUNTS = (*OPERATION_COUNTS, CONNECTED_MS)

_MINUTE_MS = 60_000


def steps_of(size_bytes: int) -> int:
    """Return the steps in which an event of this size is metered."""
    return -(-size_bytes // STEP_BYTES)


def steps_of_encoded(encoded_event: bytes) -> int:
    """Return the steps of an event that ``wire.encode_event`` has encoded."""
    # Encoding adds two quotes and escapes: what fits into a step with them does so without.
    if len(encoded_event) <= STEP_BYTES:
        return 1
    return steps_of(len(orjson.loads(encoded_event).encode()))


class Metering:
    """The bill of one process.

    Args:
        counters: Has ``BILLED_COUNTS`` among its columns.
        rules: How to bill what the source leaves open.
    """

    def __init__(self, counters: Counters, rules: Undocumented) -> None:
        self._counters = counters
        self._rules = rules
        self._opened_s: dict[Hashable, float] = {}
        self._closed_ms = counters.own(CONNECTED_MS)

    def connected(self, connection: Hashable) -> None:
        """Bill a connection that was admitted."""
        self._opened_s[connection] = time.monotonic()
        self._counters.add("billed.connects")

    def disconnected(self, connection: Hashable) -> None:
        """Bill the minutes of a connection that was admitted and has closed; ignore any other."""
        opened_s = self._opened_s.pop(connection, None)
        if opened_s is not None:
            self._closed_ms += self._billed_ms(time.monotonic() - opened_s)

    def subscribed(self) -> None:
        """Bill a subscription."""
        self._counters.add("billed.subscribes")

    def unsubscribed(self) -> None:
        """Bill the end of a subscription that its client asked for, if that is billed."""
        self._counters.add("billed.unsubscribes", int(self._rules.unsubscribe_billed))

    def keep_alive(self) -> None:
        """Bill a keep-alive message, if that is billed."""
        self._counters.add("billed.pings", int(self._rules.keep_alive_billed))

    def published(self, sizes_bytes: Sequence[int]) -> None:
        """Bill the events of one publish that was accepted, as they came in."""
        if self._rules.batch_billed_once:
            steps = steps_of(sum(sizes_bytes))
        else:
            steps = sum(map(steps_of, sizes_bytes))
        self._counters.add("billed.inbound", steps)

    def handled(self, events: int = 1) -> None:
        """Bill a call of a handler.

        Args:
            events: How many it was given; 1 for a subscription.
        """
        calls = events if self._rules.handler_billed_per_event else 1
        self._counters.add("billed.handlers", calls)

    def refresh(self) -> None:
        """Bring the connection time up to now, before it is read."""
        now_s, opened_s = time.monotonic(), list(self._opened_s.values())
        open_ms = round(1000 * (len(opened_s) * now_s - sum(opened_s)))
        if self._rules.minutes_rounded_up:
            # As many minutes as have begun: of each age, all that are older. They came in order.
            minutes = 0
            while older := bisect.bisect_left(opened_s, now_s):
                minutes += older
                now_s -= 60
            open_ms = minutes * _MINUTE_MS
        self._counters.put(CONNECTED_MS, self._closed_ms + open_ms)

    def reset(self) -> None:
        """Bill from now on; the minutes of open connections begin anew."""
        self._closed_ms = 0
        self._opened_s = dict.fromkeys(self._opened_s, time.monotonic())

    def _billed_ms(self, age_s: float) -> int:
        age_ms = math.ceil(age_s * 1000)
        if not self._rules.minutes_rounded_up:
            return age_ms
        return -(-age_ms // _MINUTE_MS) * _MINUTE_MS


def bill(totals: Mapping[str, int]) -> dict[str, Any]:
    """Return what AWS would bill, from the sums of the counters.

    Returns:
        ``operations`` in all, each kind of them, and ``connection_minutes``.
    """
    kinds = {kind: totals[f"billed.{kind}"] for kind in _OPERATIONS}
    kinds["outbound"] = totals["deliveries.steps"]
    minutes = totals[CONNECTED_MS] / _MINUTE_MS
    return {"operations": sum(kinds.values()), **kinds, "connection_minutes": minutes}
