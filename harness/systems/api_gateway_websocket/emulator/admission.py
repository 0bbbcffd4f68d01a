"""Admission by the account's quotas and its throttle, in one process.

Source: docs.aws.amazon.com/apigateway/latest/developerguide/limits and websocket-api-protect, read
November 2026: "a token counts for a request". Decided here, because no source says: a connect uses
its own quota and no token of the throttle.
"""

import fcntl
import time
from pathlib import Path

from harness.emulation.counters import open_integers
from harness.emulation.faults import ConnectOutcome, Faults
from harness.emulation.quotas import Rate
from harness.emulation.worker import WorkerContext
from harness.systems.api_gateway_websocket.options import Quotas

_NS_PER_S = 1_000_000_000


class TokenBucket:
    """The account's throttle: a token bucket that all processes draw from.

    Kept as the time at which the bucket would be full again.

    Args:
        file: Also what the processes lock, as each take reads and writes.
    """

    def __init__(self, file: Path, rate_per_s: float, burst: int) -> None:
        self._full_ns = open_integers(file, 1)
        self._lock = file.open("rb")
        self._token_ns = round(_NS_PER_S / rate_per_s)
        self._burst_ns = burst * self._token_ns

    def take(self) -> bool:
        """Take a token if there is one."""
        # The kernel unlocks what a killed process held.
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            now_ns = time.monotonic_ns()
            full_ns = max(self._full_ns[0], now_ns) + self._token_ns
            if full_ns - now_ns > self._burst_ns:
                return False
            self._full_ns[0] = full_ns
            return True
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        self._lock.close()


class Admission:
    """The admission of one process."""

    def __init__(self, quotas: Quotas, faults: Faults, context: WorkerContext) -> None:
        self._faults = faults
        self._connects = self._requests = None
        if quotas.enabled and quotas.connects_per_s:
            self._connects = Rate(context, "connects", quotas.connects_per_s)
        if quotas.enabled and quotas.requests_per_s:
            file = context.folder / "bucket-requests"
            self._requests = TokenBucket(file, quotas.requests_per_s, quotas.burst)

    def connect(self) -> ConnectOutcome:
        """Decide what becomes of a client that connects, and count it unless it is admitted."""
        return self._faults.on_connect(self._connects)

    def request(self) -> bool:
        """Take a token of the throttle if there is one: for a frame, or a call of the API."""
        return self._requests is None or self._requests.take()

    def close(self) -> None:
        """Close the files."""
        if self._requests is not None:
            self._requests.close()
