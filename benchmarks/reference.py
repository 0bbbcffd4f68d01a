"""``python -m benchmarks.reference``: does the reference load hold on this machine, run by run?

Makes whole runs one after the other, each with ``harness run`` and a record of its own, and holds
what they came to against the figures that the project is for. These are absolute: they are meant
for two cores and 24 GiB with nothing else to do. Ends with 1 where any does not hold.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.programs import ProgramError
from benchmarks.senders import ROOT
from benchmarks.table import Row, as_text, write_json
from benchmarks.whole_run import EndedRun, run_to_end
from harness.core.join_stages import JOIN_STAGES
from harness.measure.environment import describe_environment
from harness.net.ring_reading import receive_path

RESULT = ROOT / "benchmarks/results/reference.json"
REFERENCE = ROOT / "scenarios/workloads/reference.toml"
PEAK = ROOT / "scenarios/workloads/reference-peak.toml"
PLAIN = ROOT / "scenarios/targets/appsync-events-emulated.toml"
TLS = ROOT / "scenarios/targets/appsync-events-emulated-tls.toml"

USERS = 35_000
QUICK_USERS = 2_000
CHATTERS_RATIO = 1 / 7
WRITTEN_WITHIN_S = 15.0
CLOSED_WITHIN_S = 20.0
JOIN_STAGES_MS = [f"{stage}_ms" for stage in JOIN_STAGES]

NO_LOSS = '[{metric = "deliveries.ratio", op = ">=", limit = 1.0}]'
"""Objectives in place of a workload's own, if those are for another rate or population."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run, and what is wanted of it besides that all join and nothing is lost.

    Attributes:
        name: Begins the names of its rows.
        title: What it is, for people.
        workload: What load.
        target: Which system.
        settings: Fields that it overrides.
        deliveries_per_s: Lowest mean of the measured time; None for any.
        joins_per_s: Lowest rate over all users; None for any.
        users: How many there are.
    """

    name: str
    title: str
    workload: Path
    target: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    deliveries_per_s: float | None = None
    joins_per_s: float | None = None
    users: int = USERS


WHOLE = Case("reference", "25,000 messages a day, 3 min", REFERENCE, PLAIN)
CASES = (
    Case("peak", "2.9 messages/s", PEAK, PLAIN, deliveries_per_s=100_000.0),
    Case(
        *("joins", "2,100 joins/s wanted", REFERENCE, PLAIN),
        {
            "joins.rate_per_s": 2100.0,
            "target.emulator.quotas.connects_per_s": 10_000.0,  # Its default refuses over 2,000.
            "phases.measure_s": 60.0,
        },
        joins_per_s=2000.0,
    ),
    Case(
        *("tls", "1.63 messages/s over TLS", PEAK, TLS),
        {
            # None of its few messages is due as a second begins, to be counted in either.
            "publishing.rate_per_s": 1.63,
            "joins.rate_per_s": 600.0,  # A handshake costs each side's core a millisecond.
            "phases.measure_s": 30.0,
            "slos": NO_LOSS,
        },
        deliveries_per_s=55_000.0,
    ),
)


def main() -> int:
    """Make the runs, print the table, write the JSON; 0 if everything holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reference", description=__doc__)
    parser.add_argument(
        "--whole", action="store_true", help="also the three minutes of reference.toml as it is"
    )
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--set", dest="sets", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT, help="file to write the JSON to")
    parser.add_argument("--records", type=Path, help="folder for the records; a new one in reports")
    given = parser.parse_args()
    cases = [WHOLE, *CASES] if given.whole else [*CASES]
    if given.quick:
        cases = [quick(case) for case in cases]
    more = dict(text.split("=", 1) for text in given.sets)
    records = given.records or ROOT / "reports" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-reference"
    started = time.monotonic()
    machine = describe_environment()
    del machine["host"]
    machine["load_average_at_start"] = list(os.getloadavg())
    result = list(measure(cases, more, records))
    machine["receive_path"] = receive_path()
    machine["quick"] = given.quick
    machine["seconds"] = round(time.monotonic() - started, 1)
    write_json(result, machine, given.out)
    print(as_text(result))
    print(f"\n{machine['seconds']:.0f} s; written to {given.out}; the records are in {records}")
    return 0 if all(row.holds for row in result) else 1


def quick(case: Case) -> Case:
    """Return a small and short run, which tests the procedure and not the figures."""
    chatters = round(QUICK_USERS * CHATTERS_RATIO)
    share = QUICK_USERS / case.users
    settings = {
        **case.settings,
        "population.subscribers": QUICK_USERS - chatters,
        "population.chatters": chatters,
        "phases.settle_s": 1.0,
        "phases.warm_up_s": 1.0,
        "phases.measure_s": 10.0,  # Some messages too few would show in the mean of less.
        "phases.drain_s": 2.0,
        "slos": NO_LOSS,
    }
    wanted = case.deliveries_per_s and case.deliveries_per_s * share
    return replace(case, settings=settings, deliveries_per_s=wanted, users=QUICK_USERS)


def measure(cases: Sequence[Case], more: Mapping[str, object], records: Path) -> Iterator[Row]:
    """Yield the rows of each run, then those about how all of them ended.

    Args:
        cases: What to run, in this order.
        more: Fields to override in all of them.
        records: The folder for their records.
    """
    endings: dict[str, EndedRun | str] = {}
    for case in cases:
        print(f"{case.name}: {case.users:,} users, {case.title} …", file=sys.stderr, flush=True)
        try:
            ended = run_to_end(
                case.workload, case.target, {**case.settings, **more}, records / case.name
            )
        except ProgramError as error:
            endings[case.name] = str(error)
            yield from missing(case, str(error))
            continue
        endings[case.name] = ended
        yield from rows_of(case, ended)
    yield from ending_rows(endings)


def rows_of(case: Case, ended: EndedRun) -> list[Row]:
    """Return what one run is held to."""
    summary = ended.summary
    if summary is None:
        return missing(case, ended.last_output)
    joined, joins_per_s = joins_of(pd.read_parquet(ended.folder / "connections.parquet"))
    faults = [warning["code"] for warning in summary["warnings"] if warning["invalidates"]]
    values = {
        "deliveries_per_s": summary["deliveries"]["per_s_mean"],
        "joins_per_s": joins_per_s,
        "joined": float(joined),
        "lost": summary["deliveries"]["lost"],
        "duplicated": summary["deliveries"]["duplicated"],
        "invalid": float(len(faults)),
    }
    verdict = summary["verdict"]
    note = f"exit code {ended.exit_code}, {verdict}"
    details = {
        "exit_code": ended.exit_code,
        "verdict": verdict,
        "record": ended.folder.name,
        "workload": case.workload.name,
        "target": case.target.name,
        "settings": dict(case.settings),
        "owed": summary["deliveries"]["owed"],
        "fan_out_latency_ms": summary["fan_out_latency_ms"],
        "generator": summary["generator"],
        "invalidated_by": faults,
    }
    return [
        replace(
            row,
            value=values[key],
            note=note,
            missing="" if values[key] is not None else f"not measured; {note}",
            details=details if key == _first_key(case) else {},
        )
        for key, row in _wanted(case)
    ]


def _wanted(case: Case) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a run without their values, each with what it is about."""
    rates = (
        ("deliveries_per_s", "deliveries a second", case.deliveries_per_s),
        ("joins_per_s", "joins a second, from the first to the last", case.joins_per_s),
    )
    for key, what, least in rates:
        if least is not None:
            yield key, _row(case, key, what, "1/s", least, at_least=True)
    yield "joined", _row(case, "joined", "joined", "users", float(case.users), at_least=True)
    for key in ("lost", "duplicated"):
        yield key, _row(case, key, key, "deliveries", 0.0)
    yield "invalid", _row(case, "invalid", "reasons to call it invalid", "", 0.0)


def _row(
    case: Case, key: str, what: str, unit: str, limit: float, *, at_least: bool = False
) -> Row:
    title = f"{case.title}: {what}"
    return Row(f"{case.name}_{key}", title, unit, limit=limit, at_least=at_least)


def _first_key(case: Case) -> str:
    return next(_wanted(case))[0]


def missing(case: Case, why: str) -> list[Row]:
    """Return the rows of a run that came to nothing, with the reason."""
    return [replace(row, missing=why) for _, row in _wanted(case)]


def joins_of(connections: pd.DataFrame) -> tuple[int, float | None]:
    """Return how many users joined, and how many a second from the first start to the last end.

    Args:
        connections: The record's table: one row an attempt.
    """
    joined = connections[connections["joined"].to_numpy(dtype=bool)]
    users = len(joined.drop_duplicates(["user_class", "user"]))
    if not users:
        return 0, None
    took_ms = joined[JOIN_STAGES_MS].fillna(0.0).sum(axis=1)
    last_ns = (joined["join_start_ns"] + took_ms * 1e6).max()
    return users, users / float((last_ns - connections["join_start_ns"].min()) / 1e9)


def ending_rows(endings: Mapping[str, EndedRun | str]) -> list[Row]:
    """Return what is wanted of the ends of all runs, each with the worst of them.

    Args:
        endings: By the name of the run; a string says why there was none.
    """
    reasons = [f"{name}: {why}" for name, why in endings.items() if isinstance(why, str)]
    ended = {name: one for name, one in endings.items() if isinstance(one, EndedRun)}
    figures: tuple[tuple[str, str, str, float, Mapping[str, Any]], ...] = (
        (
            *("written", "record and report written after the end", "s", WRITTEN_WITHIN_S),
            {name: one.written_s for name, one in ended.items()},
        ),
        (
            *("closed", "every connection closed after the end", "s", CLOSED_WITHIN_S),
            {name: one.closed_s for name, one in ended.items()},
        ),
        (
            *("left", "connections left behind", "", 0.0),
            {name: float(one.left) for name, one in ended.items()},
        ),
    )
    codes = {name: one.exit_code for name, one in ended.items()}
    return [
        _worst(Row(f"ending_{key}", title, unit, limit=limit), found, reasons, codes)
        for key, title, unit, limit, found in figures
    ]


def _worst(
    row: Row, found: Mapping[str, Any], reasons: Sequence[str], codes: Mapping[str, int]
) -> Row:
    unknown = [f"{name}: the run had no such end" for name, value in found.items() if value is None]
    if why := [*reasons, *unknown]:
        return replace(row, missing="; ".join(why), details={"by_run": dict(found)})
    name = max(found, key=lambda one: found[one])
    return replace(
        row,
        value=found[name],
        note=f"worst: {name}, exit code {codes[name]}",
        details={"by_run": {one: round(value, 3) for one, value in found.items()}},
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
