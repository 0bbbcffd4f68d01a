"""Tell when so much fails for so long that going on would only hurt the system under test."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.core.exit_codes import ExitCode
from harness.load.master.abort_reason import AbortReason
from harness.scenario.workload import Safety

FEWEST = 20
"""Operations below which no share of failures means anything."""

_SUCCEEDED = ("joins_succeeded", "publishes_acknowledged")
_FAILED = ("joins_failed", "publishes_failed", "publishes_throttled")
"""All are counted when they end: a join may fail minutes after it began."""


class CircuitBreaker:
    """Counts the joins and publishes of the last seconds, and how many of them failed.

    Args:
        safety: Which share is too much, and for how long.
    """

    def __init__(self, safety: Safety) -> None:
        self._safety = safety
        self._ended: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._first: int | None = None

    def add(self, report: Mapping[str, Any]) -> None:
        """Take one worker's second, as ``harness.load.worker_protocol.SECOND`` carries it."""
        second = report["second"]
        self._first = second if self._first is None else min(self._first, second)
        for counters in report["counters"].values():
            self._ended[second] += sum(counters.get(name, 0) for name in _SUCCEEDED + _FAILED)
            self._failed[second] += sum(counters.get(name, 0) for name in _FAILED)
        oldest = max(self._ended, default=second) - self._safety.error_storm_s
        for counted in (self._ended, self._failed):
            for old in [each for each in counted if each <= oldest]:
                del counted[old]

    def cause(self, errors: Mapping[tuple[str, str, str], int]) -> AbortReason | None:
        """Return why the run should end, None while it should not.

        Args:
            errors: Of the whole run by stage, code and message; the most frequent is named.
        """
        ended, failed = self._ended.total(), self._failed.total()
        seen_s = max(self._ended, default=0) + 1 - (self._first or 0)
        if seen_s < self._safety.error_storm_s or ended < FEWEST:
            return None
        if failed <= ended * self._safety.error_storm_ratio:
            return None
        message = (
            f"error breaker: {failed} of {ended} joins and publishes of the last "
            f"{self._safety.error_storm_s:g} s failed"
        )
        if errors:
            stage, code, _ = max(errors, key=lambda error: errors[error])
            message += f", most often with {code or 'no code'} at stage {stage}"
        hint = "see the errors in the report; [safety] of the workload says when a run is stopped"
        return AbortReason("error_storm", ExitCode.RUN_INVALID, message, hint)
