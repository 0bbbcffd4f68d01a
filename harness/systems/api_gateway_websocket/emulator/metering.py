"""What AWS would bill for: messages in steps of 32 KB, both ways, and connection minutes.

Source: aws.amazon.com/api-gateway/pricing, read November 2026. Decided here, because the source
does not say: a connect is one message, and control frames are none.
"""

import time
from collections.abc import Hashable, Mapping
from typing import Any

from harness.emulation.counters import Counters

STEP_BYTES = 32 * 1024

CONNECTS, INBOUND, CONNECTED_MS = "billed.connects", "billed.inbound", "billed.connection_ms"
BILLED_COUNTS = (CONNECTS, INBOUND, CONNECTED_MS)


def steps_of(size_bytes: int) -> int:
    """Return the steps in which a message of this size is metered, one at least."""
    return max(1, -(-size_bytes // STEP_BYTES))


class Metering:
    """The bill of one process.

    Args:
        counters: Has ``BILLED_COUNTS`` among its columns.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._opened_s: dict[Hashable, float] = {}
        self._closed_s = 0.0

    def connected(self, connection: Hashable) -> None:
        """Bill a connection that was admitted."""
        self._opened_s[connection] = time.monotonic()
        self._counters.add(CONNECTS)

    def disconnected(self, connection: Hashable) -> None:
        """Bill the time of a connection that has gone."""
        self._closed_s += time.monotonic() - self._opened_s.pop(connection)

    def frame(self, size_bytes: int) -> None:
        """Bill a frame that a client sent."""
        self._counters.add(INBOUND, steps_of(size_bytes))

    def refresh(self) -> None:
        """Bring the connection time up to now, before it is read."""
        now_s = time.monotonic()
        open_s = sum(now_s - opened_s for opened_s in self._opened_s.values())
        self._counters.put(CONNECTED_MS, round((self._closed_s + open_s) * 1000))

    def reset(self) -> None:
        """Bill from now on."""
        self._closed_s = 0.0
        self._opened_s = dict.fromkeys(self._opened_s, time.monotonic())


def bill(totals: Mapping[str, int]) -> dict[str, Any]:
    """Return what AWS would bill, from the sums of the counters."""
    kinds = {
        "inbound": totals[INBOUND],
        "outbound": totals["deliveries.steps"],
        "connects": totals[CONNECTS],
    }
    minutes = totals[CONNECTED_MS] / 60_000
    return {"messages": sum(kinds.values()), **kinds, "connection_minutes": minutes}
