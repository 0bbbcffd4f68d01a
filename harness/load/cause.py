"""Why a run ended before its timetable did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.core.exit_codes import ExitCode
from harness.measure.exhaustion import EXHAUSTIONS


@dataclass(frozen=True, slots=True)
class Cause:
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

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def exhausted(errors: Mapping[tuple[str, str, str], int]) -> Cause | None:
    """Return why a run is pointless once its own machine has run out of something.

    Args:
        errors: How often each error happened, by stage, code and message.
    """
    for (stage, code, _), count in errors.items():
        if code in EXHAUSTIONS:
            found = EXHAUSTIONS[code]
            message = f"{found.what}: {code} at stage {stage}, {count} times"
            return Cause(found.code, ExitCode.RUN_INVALID, message, found.remedy)
    return None
