"""The verdict on a run and the exit code that tells it to a pipeline."""

from collections.abc import Sequence

from harness.analysis.run.record import Json
from harness.analysis.run.validity import invalidates, unreachable
from harness.core.exit_codes import ExitCode

_EXIT_CODES = {
    "pass": ExitCode.PASS,
    "fail": ExitCode.SLO_FAILED,
    "no_data": ExitCode.SLO_FAILED,
    "invalid": ExitCode.RUN_INVALID,
}


def decide(run: Json, slos: Sequence[Json], warnings: Sequence[Json]) -> str:
    """Return pass, fail, invalid or no_data; invalid beats fail beats no_data beats pass.

    A run that let nobody in measured nothing, so it has no data even without any SLO.
    """
    if any(invalidates(warning) for warning in warnings):
        return "invalid"
    verdicts = {slo["verdict"] for slo in slos}
    if "fail" in verdicts:
        return "fail"
    if "no_data" in verdicts or unreachable(run):
        return "no_data"
    return "pass"


def exit_code(run: Json, verdict: str) -> int:
    """Return the exit code: what ended the run early tells more than the verdict."""
    cause = run.get("cause") or {}
    if cause.get("exit_code"):
        return int(cause["exit_code"])
    if run.get("status") == "interrupted":
        return int(ExitCode.INTERRUPTED)
    return int(_EXIT_CODES[verdict])
