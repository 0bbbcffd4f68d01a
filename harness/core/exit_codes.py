"""What each exit status of the harness means to a script that called it."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """Process exit statuses; stable, because CI pipelines branch on them."""

    PASS = 0
    INTERNAL_ERROR = 1
    BAD_USAGE = 2
    """Wrong flags, or a scenario file that does not validate."""
    SLO_FAILED = 3
    """An SLO failed, or had no data to judge."""
    RUN_INVALID = 4
    """The generator saturated, the drain was cut short or clocks are unsound."""
    TARGET_UNREACHABLE = 5
    """No user could join the system under test."""
    NOT_COMPARABLE = 6
    """Runs were to be compared that differ in more than what is compared."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or SIGTERM; the record up to then is readable."""


VERDICTS: Final[Mapping[int, str]] = {
    ExitCode.PASS: "pass",
    ExitCode.SLO_FAILED: "fail",
    ExitCode.RUN_INVALID: "invalid",
}
"""The verdict that each exit code stands for; the others stand for none."""
