"""Why a run ended before its timetable did."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.core.exit_codes import ExitCode
from harness.core.join_stages import JOIN_FAILURE_STAGES
from harness.measure.exhaustion import EXHAUSTIONS
from harness.scenario.workload import Safety

Errors = Mapping[tuple[str, str, str], int]
"""How often each error happened, by stage, code and message."""

_HINT = "check key, endpoints and channel namespace of the target"
_HINT_TLS = (
    "check that what the endpoints name speaks TLS (ws:// and http:// do without), and [tls]"
)

FEWEST = 20
"""Operations below which no share of failures means anything."""

_SUCCEEDED = ("joins_succeeded", "publishes_acknowledged")
_FAILED = ("joins_failed", "publishes_failed", "publishes_throttled")
"""All are counted when they end: a join may fail minutes after it began."""


@dataclass(frozen=True, slots=True)
class AbortReason:
    """The reason, as it stands in ``run.json``.

    Attributes:
        code: Stable name, such as ``nobody_joined`` or ``interrupted``.
        exit_code: What the run's process will exit with.
        message: One sentence for the user.
        hint: What to do next.
    """

    code: str
    exit_code: ExitCode
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "exit_code": int(self.exit_code)}

    @property
    def status(self) -> str:
        """What the record calls a run that ended so."""
        return "interrupted" if self.code == "interrupted" else "aborted"

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def stopped_by_user_class(said: str) -> AbortReason:
    """Return why a run is none that Locust ended for the locustfile; nobody stopped it by hand.

    Args:
        said: By whoever stopped it.
    """
    message = f"a user class stopped the run: {said}"
    hint = "StopTest and runner.quit() end the whole run; raise StopUser to end one user"
    return AbortReason("stopped_by_user_class", ExitCode.RUN_INVALID, message, hint)


def exhausted(errors: Errors) -> AbortReason | None:
    """Return why a run is pointless once its own machine has run out of something."""
    for (stage, code, _), count in errors.items():
        if code in EXHAUSTIONS:
            found = EXHAUSTIONS[code]
            message = f"{found.what}: {code} at stage {stage}, {count} times"
            return AbortReason(found.code, ExitCode.RUN_INVALID, message, found.remedy)
    return None


def refusals(errors: Errors) -> Counter[tuple[str, str, str]]:
    """Return the errors of joins alone."""
    return Counter(
        {error: count for error, count in errors.items() if error[0] in JOIN_FAILURE_STAGES}
    )


def nobody_joined(address: str, refused: Counter[tuple[str, str, str]]) -> AbortReason:
    """Return why a run is pointless that let nobody in.

    Args:
        address: Where they tried.
        refused: From ``refusals``; some, at least one. Those that differ in nothing but their
            message, which may hold the number of a request, are of one kind.
    """
    kinds: Counter[tuple[str, str]] = Counter()
    for (stage, code, _), count in refused.items():
        kinds[stage, code] += count
    (stage, code), met = kinds.most_common(1)[0]
    texts = Counter({e[2]: count for e, count in refused.items() if e[:2] == (stage, code)})
    example = "for example " * (len(texts) > 1) + texts.most_common(1)[0][0]
    message = (
        f"nobody joined {address}: {met} of {refused.total()} users met "
        f"{code} at stage {stage} ({example})"
    )
    hint = _HINT_TLS if stage == "tls" else _HINT
    return AbortReason("nobody_joined", ExitCode.TARGET_UNREACHABLE, message, hint)


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

    def reason(self, errors: Mapping[tuple[str, str, str], int]) -> AbortReason | None:
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
