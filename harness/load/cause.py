"""Why a run ended before its timetable did."""

from dataclasses import asdict, dataclass
from typing import Any

from harness.core.exit_codes import ExitCode


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
