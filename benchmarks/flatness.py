"""``python -m benchmarks.flatness RECORD``: does the memory of a run's workers grow as it goes?

Prints for each worker the slope of its resident memory over the measured time but for its first
minute, with the standard error. Seconds that follow each other are alike, so a slope through all
of them would look surer than it is: it goes through the means of stretches of ``STRETCH_S``.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pandas as pd

from benchmarks.slope import Slope, fit_slope

STRETCH_S = 20
FILLING_S = 60.0
"""At first memory grows to what the load needs at its worst moments: buffers, histograms, arrays.
That is no leak; a slope over it would say how it fills, not whether it goes on."""
FEWEST_STRETCHES = 3
MIB = 2**20
SECONDS_PER_HOUR = 3600


class Growth(NamedTuple):
    """How the memory of one worker went.

    Attributes:
        worker: Its number.
        first_mib: Mean of the first stretch.
        last_mib: Mean of the last.
        mib_per_hour: Slope over all stretches.
    """

    worker: int
    first_mib: float
    last_mib: float
    mib_per_hour: Slope


def growths(generator: pd.DataFrame, start_s: float, end_s: float) -> list[Growth]:
    """Return the growth of each worker between two seconds of the run.

    Args:
        generator: The record's generator table.
        start_s: First second; all users have joined.
        end_s: End of the last whole stretch, at the latest.

    Raises:
        ValueError: If that is less than ``FEWEST_STRETCHES``.
    """
    stretches = int((end_s - start_s) // STRETCH_S)
    if stretches < FEWEST_STRETCHES:
        needed_s = FILLING_S + FEWEST_STRETCHES * STRETCH_S
        raise ValueError(f"{needed_s:.0f} s of measuring are needed at least")
    stretch = (generator["second"] - start_s) // STRETCH_S
    counted = generator[stretch.between(0, stretches - 1)]
    found = []
    for worker, rows in counted.groupby("worker"):
        means = rows.groupby(stretch)[["second", "rss_bytes"]].mean()
        hours, mib = means["second"] / SECONDS_PER_HOUR, means["rss_bytes"] / MIB
        slope = fit_slope(hours.tolist(), mib.tolist())
        found.append(Growth(int(str(worker)), float(mib.iloc[0]), float(mib.iloc[-1]), slope))
    return found


def flat_time(run: dict[str, Any]) -> tuple[float, float]:
    """Return between which seconds of a run memory should be flat.

    From a minute after measuring began until it ended or was cut short.
    """
    (measure,) = (phase for phase in run["phases"] if phase["name"] == "measure")
    ended_s = run["ended_s"] if run["ended_s"] is not None else measure["end_s"]
    return measure["start_s"] + FILLING_S, min(measure["end_s"], ended_s)


def as_text(found: list[Growth]) -> str:
    """Return the table for people."""
    lines = ["worker  first MiB  last MiB  MiB per hour"]
    lines += [
        f"{worker:6d}  {first_mib:9.1f}  {last_mib:8.1f}  {slope:+.1f} ± {error:.1f}"
        for worker, first_mib, last_mib, (slope, error) in found
    ]
    return "\n".join(lines)


def main() -> int:
    """Read the record and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flatness", description=__doc__)
    parser.add_argument("record", type=Path, help="folder of a run that has been reported")
    record = parser.parse_args().record
    try:
        generator = pd.read_parquet(record / "generator.parquet")
        run = orjson.loads((record / "run.json").read_bytes())
        print(as_text(growths(generator, *flat_time(run))))
    except (OSError, ValueError) as error:
        print(f"error: {record}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
