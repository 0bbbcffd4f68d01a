"""The account's throttle: a token bucket that all processes of an emulator draw from.

Source: docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect, read November
2026: "a token counts for a request". Kept as the time at which the bucket would be full again.
"""

import fcntl
import time
from pathlib import Path

from harness.emulation.shared_integers import make_integers, open_integers

_NS_PER_S = 1_000_000_000


class TokenBucket:
    """One process's hand in the bucket.

    Args:
        file: Made with ``make_file``; also what the processes lock, as each take reads and writes.
        rate_per_s: Tokens that are put back in a second.
        burst: Tokens in a full bucket.
    """

    def __init__(self, file: Path, rate_per_s: float, burst: int) -> None:
        self._lock = file.open("rb")
        self._full_ns = open_integers(file)
        self._token_ns = round(_NS_PER_S / rate_per_s)
        self._burst_ns = burst * self._token_ns

    @staticmethod
    def make_file(file: Path) -> None:
        """Write a full bucket."""
        make_integers(file, 1)

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
        """Let go of the file."""
        self._lock.close()
