"""Stands in for Locust: makes a run's folder, writes its journal and ends in a given way.

Arguments: the folder to make, how to end, and the plan that a run adds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from harness.core.child_errors import report_error
from harness.core.errors import MachineError, ScenarioError, ScenarioProblem

COUNTERS = ("joins_succeeded", "joins_failed", "publishes_sent", "deliveries", "errors")


def timeline_row(second: int, user_class: str) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(COUNTERS, 0)
    row |= {"second": second, "phase": "measure", "user_class": user_class}
    row |= {"connected": 10, "fan_out_latency_ms_p50": 1.5, "fan_out_latency_ms_p99": None}
    return row


def write_record(folder: Path, status: str) -> None:
    (folder / "journal").mkdir(parents=True, exist_ok=True)
    run = {"status": status, "warnings": []}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    with (folder / "journal" / "timeline.jsonl").open("a", encoding="utf-8") as journal:
        for second in range(3):
            journal.write(json.dumps(timeline_row(second, "subscriber")) + "\n")


def stop(signum: int, _frame: object) -> None:
    (folder / "stopped_by").write_text(signal.Signals(signum).name, encoding="utf-8")
    sys.exit(130)


folder, ending = Path(sys.argv[1]), sys.argv[2]
print("noise before the record", flush=True)
if ending == "refuses":
    report_error(ScenarioError([ScenarioProblem("scenario.toml", "", "c", "a must be b", "do")]))
    sys.exit(2)
if ending == "refuses half-way":
    folder.mkdir()
    report_error(MachineError("here", "a", "b"))
    sys.exit(2)
if ending == "does nothing":
    sys.exit(0)
if ending == "raises":
    raise ZeroDivisionError
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.SIG_IGN if ending == "deaf" else stop)
if ending == "leaves a child":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    folder.mkdir(parents=True)
    (folder / "child_pid").write_text(str(child.pid), encoding="utf-8")
write_record(folder, "running")
if ending == "killed":
    print("the last line", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
if ending in {"waits", "deaf"}:
    time.sleep(60)
if "--plan" in sys.argv:
    plan = Path(sys.argv[sys.argv.index("--plan") + 1])
    given = {"file": str(plan), "mode": plan.stat().st_mode & 0o777, "plan": plan.read_text()}
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
if ending == "ends":
    write_record(folder, "completed")
