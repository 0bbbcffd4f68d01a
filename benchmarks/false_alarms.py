"""``python -m benchmarks.false_alarms [RUNS]``: how often an undisturbed run is called invalid.

Makes smoke runs one after the other, each when the machine has nothing else to do, and prints its
worst figures of the generator. Ends with 1 when any was called invalid. Whatever else begins during
a run disturbs it: "others" then says how much of the machine that took.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson
import psutil

ROOT = Path(__file__).resolve().parents[1]
WORKLOAD = ROOT / "scenarios/workloads/ci-smoke.toml"
TARGET = ROOT / "scenarios/targets/appsync-events-emulated.toml"
RUNS = 20
QUIET_FOR_S = 3.0
QUIET_PERCENT = 15.0


def wait_until_quiet() -> None:
    """Return once the machine has had almost nothing to do for a while."""
    while psutil.cpu_percent(QUIET_FOR_S) > QUIET_PERCENT:
        pass


def run_once(folder: Path) -> dict[str, Any]:
    """Return the summary of one smoke run."""
    command = [sys.executable, "-m", "harness", "run", str(WORKLOAD), "--target", str(TARGET)]
    subprocess.run([*command, "--out", str(folder)], capture_output=True, check=False, cwd=ROOT)
    summary: dict[str, Any] = orjson.loads((folder / "run.json").read_bytes())["summary"]
    return summary


def alarms_of(summary: dict[str, Any]) -> list[str]:
    """Return the codes of the warnings that make the run invalid."""
    return [warning["code"] for warning in summary["warnings"] if warning["invalidates"]]


def main() -> int:
    """Run, count and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    invalid = 0
    with tempfile.TemporaryDirectory() as place:
        for number in range(1, runs + 1):
            wait_until_quiet()
            summary = run_once(Path(place) / str(number))
            alarms, generator = alarms_of(summary), summary["generator"]
            invalid += bool(alarms)
            figures = {
                "CPU wait": generator["cpu_wait_ratio_peak"],
                "others": generator["machine_others_ratio_peak"],
                "loop lag ms": generator["loop_lag_ms"]["max"],
                "send delay ms": summary["publishes"]["send_delay_ms"]["max"],
                "receive delay ms": summary["receive_delay_ms"]["max"],
                "GC pause ms": generator["gc_pause_max_ms"],
                "clock step ms": generator["clock_step_max_ms"],
            }
            shown = ", ".join(f"{name} {value}" for name, value in figures.items())
            print(f"{number:3d} {summary['verdict']:7s} {shown} {' '.join(alarms)}", flush=True)
    print(f"{invalid} of {runs} runs that nothing should have disturbed were called invalid")
    return int(invalid > 0)


if __name__ == "__main__":
    sys.exit(main())
