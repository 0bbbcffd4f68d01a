"""Ten real sweeps against an emulator whose quota is its capacity: how often is it found?

    python -m benchmarks.capacity [SWEEPS]

Each takes about three minutes. Prints a line a sweep: limit, capacity found, error, steps. Ends
with 1 where fewer than nine in ten were found.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
TARGET: Final = ROOT / "scenarios/targets/appsync-events-emulated.toml"
WORKLOAD: Final = ROOT / "scenarios/workloads/ci-smoke.toml"
SHORT: Final = {
    "joins.rate_per_s": 200.0,
    "publishing.arrival": "uniform",
    "publishing.event_bytes.distribution": "fixed",
    "publishing.event_bytes.value": 300,
    "phases.settle_s": 0.3,
    "phases.warm_up_s": 0.7,
    "phases.measure_s": 6.0,
    "phases.drain_s": 1.0,
}
LIMITS_PER_S: Final = (1500, 4500)
FROM_PER_S: Final = 800
TOLERANCE: Final = 0.05
MOST_STEPS: Final = 12
RIGHT: Final = 0.9
"""Share of the sweeps that must find the limit."""
SWEEP_TIMEOUT_S: Final = 900
ATTEMPTS: Final = 3
DECIDED: Final = (0, 3, 4)
"""Exit codes of a sweep that came to its end."""


def find_capacity(limit_per_s: int, folder: Path) -> tuple[float | None, int]:
    """Sweep an emulator with this quota and return the capacity found and the steps it took."""
    quota = {"target.emulator.quotas.outbound_messages_per_s": limit_per_s}
    flags = [part for key, value in (SHORT | quota).items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "harness", "sweep", str(WORKLOAD), "--target", str(TARGET)]
    command += ["--along", "deliveries", "--from", str(FROM_PER_S), "--out", str(folder), *flags]
    command += ["--max-steps", str(MOST_STEPS)]
    # A sweep that was disturbed goes on where it stopped.
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            command, cwd=ROOT, check=False, timeout=SWEEP_TIMEOUT_S, stdout=subprocess.DEVNULL
        )
        if done.returncode in DECIDED:
            break
    (cell,) = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["cells"]
    return cell["capacity"], len(cell["steps"])


def main() -> int:
    """Sweep as often as asked for and print how often the limit was found; 0 if often enough."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity")
    parser.add_argument("sweeps", type=int, nargs="?", default=10, help="how many; 10 by default")
    sweeps = parser.parse_args().sweeps
    chance, found = random.Random(20261123), 0
    for number in range(sweeps):
        limit_per_s = chance.randint(*LIMITS_PER_S)
        with tempfile.TemporaryDirectory(prefix="harness-capacity-") as place:
            capacity, steps = find_capacity(limit_per_s, Path(place) / "sweep")
        error = None if capacity is None else capacity / limit_per_s - 1
        found += error is not None and abs(error) <= TOLERANCE
        shown = "none held" if error is None else f"{capacity:,.0f} found ({error:+.1%})"
        print(f"{number + 1}: limit {limit_per_s:,}, {shown}, {steps} steps", flush=True)
    print(f"{found} of {sweeps} within {TOLERANCE:.0%}")
    return int(found < RIGHT * sweeps)


if __name__ == "__main__":
    sys.exit(main())
