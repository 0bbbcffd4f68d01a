"""The run clock: nanoseconds of the master's realtime clock, as each worker sees it.

Realtime and not monotonic, because the kernel stamps received packets with CLOCK_REALTIME and
because publisher and subscriber may be different processes or hosts.
"""

import contextlib
import platform
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A number that the kernel draws as it boots; random(4)."""


@dataclass(frozen=True, slots=True)
class RunClock:
    """A worker's view of the run clock.

    Attributes:
        epoch_ns: Run clock at the start of the timetable (second 0).
        offset_ns: Run clock minus this host's realtime clock.
    """

    epoch_ns: int
    offset_ns: int = 0

    def now_ns(self) -> int:
        """Return the run clock, in nanoseconds since 1970."""
        return time.time_ns() + self.offset_ns

    def elapsed_s(self) -> float:
        """Return the seconds since the epoch; negative before it."""
        return (self.now_ns() - self.epoch_ns) / NS_PER_S

    def second(self, instant_ns: int) -> int:
        """Return the whole second of the run in which ``instant_ns`` lies."""
        return (instant_ns - self.epoch_ns) // NS_PER_S


def machine_id() -> str:
    """Return what tells this machine from others, for as long as it runs.

    Processes of one kernel share one realtime clock, also in containers and namespaces: time
    namespaces hold the monotonic and boot-time clocks only; time_namespaces(7).
    """
    with contextlib.suppress(OSError):
        return BOOT_ID.read_text(encoding="ascii").strip()
    return f"{platform.node()} {uuid.getnode():x}"  # Not Linux.
