"""Detects lost workers: those that ended before the run, or sent no report for too long."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import psutil

from harness.core.errors import InvalidRunError

SILENT_S = 6.0
"""A worker without a report for this long is lost."""

IN_FLIGHT_S = 1.0
"""Messages of a worker that has ended may take this long to be read."""


def require_alive(count: int) -> None:
    """Raise InvalidRunError if a worker that Locust has forked from this process has ended."""
    me = psutil.Process()
    alive = sum(_is_alive(child, me.cmdline()) for child in me.children())
    if alive < count:
        found = f"{count - alive} of {count} ended before the run began"
        hint = "they were killed or crashed; start the run again"
        raise InvalidRunError("workers", found, "all must run until its end", hint)


def _is_alive(process: psutil.Process, command: list[str]) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and process.cmdline() == command
    return False


class WorkerWatch:
    """Which workers still report.

    Args:
        ids: Locust's client id of each worker, in order of worker number.
        first_report_s: When they should have begun to report, on ``time.monotonic``.
        local: Whether they run on this machine, so that their processes can be checked.
        pids: Their processes by id, as far as they are known before the first report.
    """

    def __init__(
        self,
        ids: Sequence[str],
        first_report_s: float,
        *,
        local: bool,
        pids: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._ids = ids
        self._heard_s = dict.fromkeys(range(len(ids)), first_report_s)
        self._pids = {number: pids[one] for number, one in enumerate(ids) if one in pids}
        self._gone_since_s: dict[int, float] = {}
        self._local = local
        self._done: set[int] = set()
        self._excluded: set[int] = set()

    def reported(self, number: int, pid: int) -> None:
        """Note a report of a worker, and its process."""
        self._heard_s[number] = time.monotonic()
        if self._local:
            self._pids[number] = pid

    def done(self, number: int) -> None:
        """Note that a worker has sent everything."""
        self._done.add(number)

    @property
    def awaited(self) -> bool:
        """Whether a worker that still runs has not sent everything."""
        over = self._done | self._excluded
        return any(n not in over and not self._ended(n) for n in range(len(self._ids)))

    def problem(self) -> str | None:
        """Return what is wrong with the first lost worker, None if none is lost."""
        return next((sentence for _, sentence in self._lost()), None)

    def take_lost(self) -> list[tuple[int, str]]:
        """Exclude the lost workers from now on, unless all are lost.

        Returns their numbers and what is wrong with each.
        """
        lost = list(self._lost())
        if len(self._excluded) + len(lost) == len(self._ids):
            return []
        self._excluded.update(number for number, _ in lost)
        return lost

    def _lost(self) -> Iterator[tuple[int, str]]:
        now_s = time.monotonic()
        for number, worker_id in enumerate(self._ids):
            if number in self._excluded:
                continue
            silent_s = now_s - self._heard_s[number]
            if number not in self._done and self._ended(number):
                yield (
                    number,
                    f"worker {number} (process {self._pids[number]}) ended before the run did",
                )
            elif silent_s > SILENT_S:
                yield number, f"worker {number} ({worker_id}) has not reported for {silent_s:.0f} s"

    def _ended(self, number: int) -> bool:
        if number not in self._pids or _runs(self._pids[number]):
            return False
        now_s = time.monotonic()
        return now_s - self._gone_since_s.setdefault(number, now_s) > IN_FLIGHT_S


def _runs(pid: int) -> bool:
    try:
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return status != psutil.STATUS_ZOMBIE
