"""A load process that its timetable does not end: how long it is waited for, and what is noted."""

import json
import time
from pathlib import Path
from typing import Any

from harness.core.clock import NS_PER_S
from harness.core.exit_codes import ExitCode
from harness.measure.record import RUN_FILE

OVERRUN_S = 120.0
"""From the timetable's end; closing, accounts and ``on_stop`` take less even at their limits."""

_MESSAGE = f"the load process had not ended {OVERRUN_S:g} s after the timetable: it was killed"
_HINT = (
    "code of a user class most likely computes without a pause (let it call gevent.sleep(0)) "
    "or exits (let it raise StopUser)"
)


class OverrunWatch:
    """Knows when a load process that still runs will not end by itself.

    Args:
        folder: The run's folder.
        total_s: Length of the timetable.
    """

    def __init__(self, folder: Path, total_s: float) -> None:
        self._file = folder / RUN_FILE
        self._total_s = total_s
        # Not before: the epoch is in the record, which is read for nothing until then.
        self._look_s = time.monotonic() + total_s + OVERRUN_S

    def overran(self) -> bool:
        """Say whether the run is over for so long that its process must be ended."""
        if time.monotonic() < self._look_s:
            return False
        run = self._read()
        if run.get("status") != "running":  # Still waiting for workers, or done with its record.
            return False
        end_s: float = run["epoch_ns"] / NS_PER_S + self._total_s
        return time.time() > end_s + OVERRUN_S

    def note(self) -> ExitCode:
        """Have the record of the ended process say why it was ended; return the exit code."""
        from harness.load.master.abort_reason import AbortReason

        cause = AbortReason("load_overran", ExitCode.RUN_INVALID, _MESSAGE, _HINT)
        if (run := self._read()).get("status") == "running":
            noted = run | {"status": "aborted", "cause": cause.to_json()}
            half = self._file.with_name(f"{RUN_FILE}.new")
            half.write_text(json.dumps(noted, indent=2), encoding="utf-8")
            half.replace(self._file)
        return cause.exit_code

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return found
