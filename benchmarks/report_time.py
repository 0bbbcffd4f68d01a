"""``python -m benchmarks.report_time RECORD``: how long its report takes, and how much memory.

Copies the record, lets ``harness report`` make its report there in a process of its own, and prints
seconds and peak resident memory. Ends with 1 where either is more than a report of the reference
load, 35,000 users, may take.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
MOST_S: Final = 15.0
MOST_BYTES: Final = 2 * 2**30
TIMEOUT_S: Final = 300
MADE: Final = ("report.html", "summary.md", "junit.xml", "charts")


def main() -> int:
    """Make the report, print what it took; 0 if that is little enough, 2 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_time")
    parser.add_argument("record", type=Path, help="a run's own folder")
    record = parser.parse_args().record
    if not record.is_dir():
        print(f"error: {record}: no such folder, a run's own folder is needed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="harness-report-") as place:
        folder = Path(place) / "run"
        shutil.copytree(record, folder, ignore=shutil.ignore_patterns(*MADE))
        command = [sys.executable, "-m", "harness", "report", "--quiet", str(folder)]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=False, timeout=TIMEOUT_S)
        took_s = time.perf_counter() - started
        is_made = (folder / "report.html").is_file()
    # Kibibytes on Linux: getrusage(2).
    peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if not is_made:
        return 2
    print(f"{took_s:.1f} s of at most {MOST_S:g}, {peak_bytes / 2**20:,.0f} MiB at the peak of at "
          f"most {MOST_BYTES / 2**20:,.0f}")  # fmt: skip
    return int(took_s > MOST_S or peak_bytes > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
