"""What AWS would bill for: messages in steps of 32 KB, both ways, and connection minutes.

Source: aws.amazon.com/api-gateway/pricing, read November 2026. Decided here, because the source
does not say: a connect is one message, and control frames are none.
"""

from collections.abc import Mapping
from typing import Any

from harness.emulation.metering import CONNECTED_MS, ConnectionTime, connection_minutes, steps_of

STEP_BYTES = 32 * 1024

CONNECTS, INBOUND = "billed.connects", "billed.inbound"
BILLED_COUNTS = (CONNECTS, INBOUND, CONNECTED_MS)


class Metering(ConnectionTime):
    """The bill of one process; ``BILLED_COUNTS`` are among the columns of its counters."""

    def frame(self, size_bytes: int) -> None:
        """Bill a frame that a client sent."""
        self.counters.add(INBOUND, steps_of(size_bytes, STEP_BYTES))


def bill(totals: Mapping[str, int]) -> dict[str, Any]:
    """Return what AWS would bill, from the sums of the counters."""
    kinds = {
        "inbound": totals[INBOUND],
        "outbound": totals["deliveries.steps"],
        "connects": totals[CONNECTS],
    }
    minutes = connection_minutes(totals)
    return {"messages": sum(kinds.values()), **kinds, "connection_minutes": minutes}
