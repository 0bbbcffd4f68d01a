"""Counting the requests of ordinary Locust users, second by second and name by name."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from harness.core.clock import NS_PER_MS
from harness.core.outside_text import outside_text
from harness.load.worker.interval_stats import IntervalStats
from harness.load.worker.locust_table import OF_THE_HARNESS
from harness.measure.histogram import HIGHEST_NS
from harness.measure.record import REQUEST_LATENCY, TASK_STAGE, request_tag

MAX_NAMES = 200
"""Distinct names kept in one worker, so that names with a number cannot fill the memory."""

OTHER_NAMES = "other names"
MAX_NAME_CHARS = 120
MAX_MESSAGE_CHARS = 200

STAGE = "request"
"""Stage of a failed request among the record's errors."""


class RequestCounter:
    """Requests of one worker since the last ``take``, as Locust's own table counts them.

    Args:
        stats: Where latencies and errors go.
        phase_now: Names the phase of the run.
    """

    def __init__(self, stats: IntervalStats, phase_now: Callable[[], str]) -> None:
        self._stats = stats
        self._phase_now = phase_now
        self._names: dict[tuple[str, str], str] = {}
        self._rows: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])

    def on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None,
        exception: BaseException | None = None,
        context: Mapping[str, Any] | None = None,
        response: object = None,
        **_: Any,
    ) -> None:
        """Count one request; a listener of Locust's ``request`` event."""
        if context is OF_THE_HARNESS:
            return
        known_as = self._name(str(request_type), str(name))
        phase = self._phase_now()
        row = self._rows[phase, known_as]
        row[0] += 1
        row[2] += int(response_length or 0)
        if exception is not None:
            row[1] += 1
            code = getattr(response, "status_code", None) or ""
            self._error(STAGE, exception, str(code), known_as)
        if response_time is not None:
            self._latency(known_as, phase, round(float(response_time) * NS_PER_MS))

    def on_user_error(self, user_instance: object, exception: BaseException, **_: Any) -> None:
        """Count an exception that a user's own code raised; a listener of ``user_error``."""
        user = getattr(user_instance, "user", user_instance)
        self._error(TASK_STAGE, exception, "", type(user).__name__)

    def take(self) -> list[list[Any]]:
        """Return phase, name, count, failures and bytes of each kind of request, and reset."""
        taken = [[*key, *row] for key, row in self._rows.items()]
        self._rows.clear()
        return taken

    def _name(self, method: str, name: str) -> str:
        """Return the shortened name of a request in Locust's table, or the name for all others."""
        known = self._names.get((method, name))
        if known is None:
            if len(self._names) >= MAX_NAMES:
                return OTHER_NAMES
            known = outside_text(f"{method} {name}", MAX_NAME_CHARS)
            self._names[method, name] = known
        return known

    def _latency(self, name: str, phase: str, latency_ns: int) -> None:
        if 0 <= latency_ns <= HIGHEST_NS:
            self._stats.latency(REQUEST_LATENCY, request_tag(name), phase, latency_ns)
        else:
            message = f"{name}: a latency of {latency_ns / NS_PER_MS:g} ms is in no percentile"
            self._stats.error(STAGE, "OutOfRange", "", message)

    def _error(self, stage: str, exception: BaseException, code: str, name: str) -> None:
        message = outside_text(f"{name}: {exception}", MAX_MESSAGE_CHARS)
        self._stats.error(stage, type(exception).__name__, code, message)
