"""What AWS would bill for: operations by kind, in steps of 5 KB, and connection minutes.

Source: aws.amazon.com/appsync/pricing and the usage types EventAPI-Operation and
EventAPI-ConnectionDuration of the AWS Price List, read November 2026. What they leave open is
decided by ``options.Undocumented``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from harness.emulation.counters import Counters
from harness.emulation.metering import CONNECTED_MS, ConnectionTime, connection_minutes, steps_of
from harness.systems.appsync_events.options import Undocumented

STEP_BYTES = 5 * 1024
"""Each operation is metered in steps of 5 KB, which the source does not define further."""

_OPERATIONS = ("inbound", "handlers", "connects", "subscribes", "unsubscribes", "pings")
BILLED_COUNTS = (*(f"billed.{kind}" for kind in _OPERATIONS), CONNECTED_MS)


def steps_of_encoded(encoded_event: bytes) -> int:
    """Return the steps of an event that ``wire.encode_event`` has encoded."""
    # Encoding adds two quotes and escapes: what fits into a step with them does so without.
    if len(encoded_event) <= STEP_BYTES:
        return 1
    return steps_of(len(orjson.loads(encoded_event).encode()), STEP_BYTES)


class Metering(ConnectionTime):
    """The bill of one process."""

    def __init__(self, counters: Counters, rules: Undocumented) -> None:
        super().__init__(counters, is_rounded_up=rules.minutes_rounded_up)
        self._rules = rules

    def subscribed(self) -> None:
        """Bill a subscription."""
        self.counters.add("billed.subscribes")

    def unsubscribed(self) -> None:
        """Bill the end of a subscription that its client asked for, if that is billed."""
        self.counters.add("billed.unsubscribes", int(self._rules.unsubscribe_billed))

    def keep_alive(self) -> None:
        """Bill a keep-alive message, if that is billed."""
        self.counters.add("billed.pings", int(self._rules.keep_alive_billed))

    def published(self, sizes_bytes: Sequence[int]) -> None:
        """Bill the events of one publish that was accepted, as they came in."""
        billed = [sum(sizes_bytes)] if self._rules.batch_billed_once else sizes_bytes
        steps = sum(steps_of(size_bytes, STEP_BYTES) for size_bytes in billed)
        self.counters.add("billed.inbound", steps)

    def handled(self, events: int = 1) -> None:
        """Bill a call of a handler with so many events, or for a subscription."""
        self.counters.add("billed.handlers", events if self._rules.handler_billed_per_event else 1)


def bill(totals: Mapping[str, int]) -> dict[str, Any]:
    """Return what AWS would bill, from the sums of the counters.

    Returns:
        ``operations`` in all, each kind of them, and ``connection_minutes``.
    """
    kinds = {kind: totals[f"billed.{kind}"] for kind in _OPERATIONS}
    kinds["outbound"] = totals["deliveries.steps"]
    minutes = connection_minutes(totals)
    return {"operations": sum(kinds.values()), **kinds, "connection_minutes": minutes}
