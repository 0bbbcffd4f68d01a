"""Why a run ended before its timetable did."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.core.exit_codes import ExitCode
from harness.core.join_stages import JOIN_FAILURE_STAGES
from harness.core.limits import OPERATOR_WORDS, SLO_STOP
from harness.core.metric_types import MEASURE, Unit
from harness.core.metrics import title_of, unit_of
from harness.core.outside_text import redacted
from harness.live.run import LiveRun
from harness.live.snapshot import figure
from harness.measure.failure_causes import EXHAUSTIONS
from harness.scenario.slo import RunSlo
from harness.scenario.workload import Safety

Errors = Mapping[tuple[str, str, str], int]
"""How often each error happened, by stage, code and message."""

_HINT = "check key, endpoints and channel namespace of the target"
_HINT_TLS = (
    "check that what the endpoints name speaks TLS (ws:// and http:// do without), and [tls]"
)

_COUNTED_STAGES = (*JOIN_FAILURE_STAGES, "publish")

MIN_OPERATIONS = 20
"""With fewer operations a failure ratio means nothing."""

_SUCCEEDED = ("joins_succeeded", "publishes_acknowledged")
_FAILED = ("joins_failed", "publishes_failed", "publishes_throttled")
"""All are counted when they end: a join may fail minutes after it began."""


@dataclass(frozen=True, slots=True)
class AbortReason:
    """The reason, as it stands in ``run.json``.

    Attributes:
        code: Stable name, such as ``nobody_joined`` or ``interrupted``.
    """

    code: str
    exit_code: ExitCode
    message: str
    hint: str | None = None

    def __post_init__(self) -> None:
        # An address may hold a secret.
        object.__setattr__(self, "message", redacted(self.message))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "exit_code": int(self.exit_code)}

    @property
    def status(self) -> str:
        """What the record calls a run that ended so."""
        return "interrupted" if self.code == "interrupted" else "aborted"

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def stopped_by_user_class(reason: str) -> AbortReason:
    """Return why a run is invalid that a user class stopped, by a ``StopTest`` or otherwise."""
    message = f"a user class stopped the run: {reason}"
    hint = "StopTest and runner.quit() end the whole run; raise StopUser to end one user"
    return AbortReason("stopped_by_user_class", ExitCode.RUN_INVALID, message, hint)


def failed_slo(live: LiveRun | None) -> AbortReason | None:
    """Return why a run must end that fails an SLO with ``abort``, by its figures so far."""
    if live is None:
        return None
    plan, second = live.plan, live.last.number + 1
    measure = next(phase for phase in plan.phases if phase.name == MEASURE)
    for slo in plan.workload.slos:
        if slo.abort and measure.start_s + slo.abort_after_s <= second <= measure.end_s:
            observed = figure(live, slo.metric)
            if observed is not None and slo.fails_at(observed):
                return _stopped_by(slo, observed, second, plan.total_s)
    return None


def _stopped_by(slo: RunSlo, observed: float, second: int, total_s: float) -> AbortReason:
    unit = unit_of(slo.metric)
    factor, suffix = (100, " %") if unit is Unit.RATIO else (1, f" {unit}".rstrip())
    message = (
        f"stopped by an objective at second {second} of {total_s:g} "
        f"({title_of(slo.metric)}: {observed * factor:.6g}{suffix}, where "
        f"{OPERATOR_WORDS[slo.op]} {slo.limit * factor:.6g}{suffix} is required)"
    )
    hint = "messages then on their way count as lost; abort = false lets the run go on"
    return AbortReason(SLO_STOP, ExitCode.SLO_FAILED, message, hint)


def exhausted(errors: Errors) -> AbortReason | None:
    """Return why a run must end whose own machine has run out of a resource."""
    for (stage, code, _), count in errors.items():
        if code in EXHAUSTIONS:
            found = EXHAUSTIONS[code]
            message = f"{found.what}: {code} at stage {stage}, {count} times"
            return AbortReason(found.code, ExitCode.RUN_INVALID, message, found.remedy)
    return None


def refusals(errors: Errors) -> Counter[tuple[str, str, str]]:
    """Return only the errors of joins."""
    return Counter(
        {error: count for error, count in errors.items() if error[0] in JOIN_FAILURE_STAGES}
    )


def no_user_joined(address: str, refused: Counter[tuple[str, str, str]]) -> AbortReason:
    """Return why a run must end whose target rejected every connection.

    Args:
        address: The target's address.
        refused: From ``refusals``; at least one. Errors that differ only in their message, which
            may contain a request id, are counted together.
    """
    kinds: Counter[tuple[str, str]] = Counter()
    for (stage, code, _), count in refused.items():
        kinds[stage, code] += count
    (stage, code), failed = kinds.most_common(1)[0]
    texts = Counter({e[2]: count for e, count in refused.items() if e[:2] == (stage, code)})
    example = "for example " * (len(texts) > 1) + texts.most_common(1)[0][0]
    message = (
        f"no user joined {address}: {failed} of {refused.total()} users failed with "
        f"{code} at stage {stage} ({example})"
    )
    hint = _HINT_TLS if stage == "tls" else _HINT
    return AbortReason("nobody_joined", ExitCode.TARGET_UNREACHABLE, message, hint)


class CircuitBreaker:
    """Ends a run whose failure ratio stays too high."""

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
        """Return why the run must end, with its most frequent error; None within the limit."""
        ended, failed = self._ended.total(), self._failed.total()
        seen_s = max(self._ended, default=0) + 1 - (self._first or 0)
        if seen_s < self._safety.error_storm_s or ended < MIN_OPERATIONS:
            return None
        if failed <= ended * self._safety.error_storm_ratio:
            return None
        message = (
            f"too many failures: {failed} of {ended} joins and publishes of the last "
            f"{self._safety.error_storm_s:g} s failed"
        )
        counted = {one: n for one, n in errors.items() if one[0] in _COUNTED_STAGES}
        if counted:
            stage, code, _ = max(counted, key=lambda error: counted[error])
            message += f", most often with {code or 'no code'} at stage {stage}"
        hint = "see the errors in the report; the limits are in [safety] of the workload"
        return AbortReason("error_storm", ExitCode.RUN_INVALID, message, hint)
