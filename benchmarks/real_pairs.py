"""``python -m benchmarks.real_pairs FOLDER``: is a slower system told from the same one?

Makes rounds of three short runs each: the emulator as it is, the same once more, and one whose
deliveries take 20 % longer. Then compares the first of each round with the other two, as ``harness
compare`` would. Deliveries are delayed on purpose, by times as networks have them, because 20 % of
the bare emulator's would be a fraction of a millisecond. Runs that FOLDER holds already are not
made again, so that the work can be done in pieces. Ends with 1 where fewer than nine pairs in ten
were judged right.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from harness.analysis.decide.comparison import Difference, compare
from harness.analysis.run.finalize import Analysis, analyse
from harness.core.errors import HarnessError

ROOT = Path(__file__).resolve().parents[1]
METRIC = "fan_out_latency_ms.p99"
ROUNDS = 10
MEDIAN_MS, P99_MS = 50.0, 125.0
SLOWER = 1.2
TIMES = {"first": 1.0, "same": 1.0, "slower": SLOWER}
"""The runs of a round, and what their delays are multiplied by."""
RIGHT = 0.9
"""Share of the pairs that must be judged right, of either kind."""
RUN_LIMIT_S = 90.0

WORKLOAD = """
name = "pairs"
seed = 20261123

[population]
subscribers = 280
chatters = 20

[joins]
rate_per_s = 200.0

[publishing]
rate_per_s = 4.0

[phases]
settle_s = 1.0
warm_up_s = 1.0
measure_s = {measure_s}
drain_s = 1.5
"""

TARGET = """
name = "emulated-{name}"
system = "appsync-events"
emulated = true

[emulator]
seed = {seed}

[[emulator.faults]]
kind = "delay"
delay_ms = {{ distribution = "lognormal", median = {median_ms}, p99 = {p99_ms} }}
"""


def main() -> int:
    """Make the runs that are missing, compare, print; 0 if enough pairs were judged right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_pairs", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the runs are, or will be")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of three runs")
    parser.add_argument("--measure-s", type=float, default=12.0, help="measured time of a run")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    runs = {
        (number, name): _run(arguments.folder, number, name, arguments.measure_s)
        for number in range(1, arguments.rounds + 1)
        for name in TIMES
    }
    return _judge(runs, arguments.rounds)


def _run(folder: Path, number: int, name: str, measure_s: float) -> Analysis:
    """Return one run of a round, made now if it is not there."""
    out = folder / f"{number}-{name}"
    if not (out / "report.html").exists():
        workload, target = folder / "workload.toml", folder / f"{name}.toml"
        workload.write_text(WORKLOAD.format(measure_s=measure_s))
        delays = {"median_ms": MEDIAN_MS * TIMES[name], "p99_ms": P99_MS * TIMES[name]}
        # With the same seed the emulator would draw the same delays, and runs be alike too easily.
        seed = number * len(TIMES) + list(TIMES).index(name)
        target.write_text(TARGET.format(name=name, seed=seed, **delays))
        command = [sys.executable, "-m", "harness", "run", str(workload), "--target", str(target)]
        subprocess.run(
            [*command, "--out", str(out)],
            capture_output=True,
            check=False,
            cwd=ROOT,
            timeout=RUN_LIMIT_S,
        )
    return analyse(out)


def _judge(runs: dict[tuple[int, str], Analysis], rounds: int) -> int:
    right = {"same": 0, "slower": 0}
    for number in range(1, rounds + 1):
        first = runs[number, "first"]
        for name in right:
            seen = _compare(first, runs[number, name])
            right[name] += seen.is_shown == (name == "slower")
            print(f"{number:3d} {name:6s} {_words(seen)}", flush=True)
    invalid = [f"{n}-{name}" for (n, name), one in runs.items() if _is_invalid(one)]
    print(f"same thing: no difference shown in {right['same']} of {rounds} pairs")
    print(f"{SLOWER - 1:.0%} slower: found in {right['slower']} of {rounds} pairs")
    print(f"runs called invalid, and compared all the same: {' '.join(invalid) or 'none'}")
    return int(min(right.values()) < RIGHT * rounds)


def _compare(first: Analysis, other: Analysis) -> Difference:
    (differences,) = compare([[first], [other]]).differences
    return next(one for one in differences if one.metric == METRIC)


def _is_invalid(analysis: Analysis) -> bool:
    return str(analysis.summary["verdict"]) == "invalid"


def _words(seen: Difference) -> str:
    found = f"{METRIC} {seen.first:.1f} and {seen.other:.1f} ms"
    if seen.relative is None:
        return f"{found}: no interval"
    low, high = seen.relative
    return f"{found}: ratio {seen.ratio:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
