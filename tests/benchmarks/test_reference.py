import json
import os
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.reference import (
    CASES,
    PEAK,
    PLAIN,
    QUICK_USERS,
    WHOLE,
    Case,
    ending_rows,
    joins_of,
    missing,
    quick,
    rows_of,
)
from benchmarks.table import write_json
from benchmarks.whole_run import EndedRun, connections, newest_s, planned_end_s
from harness.load.sizing import shortages, size_plan
from harness.scenario.loading import load_plan
from tests.support.machines import TWO_CORES

CASE = Case("peak", "much", PEAK, PLAIN, deliveries_per_s=100.0, joins_per_s=2.0, users=3)
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F90 0101007F:C350 01 00000000:00000000
   2: 0101007F:C350 0100007F:1F90 06 00000000:00000000
   3: 0100007F:1F91 0101007F:C351 01 00000000:00000000
   4: 901F007F:1F91 901F007F:C352 01 00000000:00000000
"""
"""The header and five ends, three of them of port 8080, 0x1F90."""


def attempt(user, start_s, *stages_ms, joined=True, user_class="subscriber"):
    """Return a row of the connections table; stages in their order, those left out never came."""
    names = ("tcp_ms", "upgrade_ms", "init_ms", "subscribe_ms")
    stages = dict.fromkeys(("tls_ms", *names)) | dict(zip(names, stages_ms, strict=False))
    start_ns = 1_000_000_000_000 + round(start_s * 1e9)
    who = {"user_class": user_class, "user": user, "joined": joined, "join_start_ns": start_ns}
    return who | stages


THREE = pd.DataFrame(
    [
        attempt(0, 0.0, 5.0, joined=False),
        attempt(0, 0.25, 1.0, 2.0, 3.0, 4.0),
        attempt(1, 0.5, 1.0, 2.0, 3.0, 4.0),
        attempt(0, 1.0, 100.0, 200.0, 100.0, 100.0, user_class="chatter"),
    ]
)
"""Three users, one at its second attempt; the first starts at 0 s, the last is there at 1.5 s."""


def ended(folder, **changes):
    """Return a run of three users that all went well, changed."""
    folder.mkdir(exist_ok=True)
    THREE.to_parquet(folder / "connections.parquet")
    summary = {
        "verdict": "pass",
        "deliveries": {"owed": 900, "lost": 0, "duplicated": 0, "per_s_mean": 101.5},
        "fan_out_latency_ms": {"p99": 4.0},
        "generator": {"workers": 2},
        "warnings": [{"code": "machine_too_small", "invalidates": False}],
    }
    summary["deliveries"] |= changes.pop("deliveries", {})
    summary |= changes.pop("summary", {})
    made = EndedRun(folder, {"summary": summary}, 0, "", 4.0, 9.0, 11.0, 0, 35_000)
    return made._replace(**changes)


def values(rows):
    return {row.name: (row.value, row.holds) for row in rows}


def test_joins_a_second_run_from_the_first_start_to_the_last_confirmation():
    """3 users in 1.5 s are 2 a second: failed attempts take their time and add nobody."""
    users, per_s = joins_of(THREE)
    assert 3 == users
    assert pytest.approx(2.0) == per_s


def test_nobody_who_joined_has_no_rate():
    """Not a rate of nothing."""
    assert (0, None) == joins_of(THREE[:1])


def test_good_run_holds_in_every_row(tmp_path):
    """Rates from their limits on, faults up to none; each row says how the run ended."""
    rows = rows_of(CASE, ended(tmp_path / "peak"))
    assert {
        "peak_deliveries_per_s": (101.5, True),
        "peak_joins_per_s": (pytest.approx(2.0), True),
        "peak_joined": (3.0, True),
        "peak_lost": (0, True),
        "peak_duplicated": (0, True),
        "peak_invalid": (0.0, True),
    } == values(rows)
    assert {"exit code 0, pass"} == {row.note for row in rows}
    assert "peak" == rows[0].details["record"]
    write_json(rows, {}, tmp_path / "reference.json")
    listed = json.loads((tmp_path / "reference.json").read_text("utf-8"))
    assert [True] * len(rows) == [entry["holds"] for entry in listed[:-1]]


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"deliveries": {"per_s_mean": 99.9}}, "peak_deliveries_per_s"),
        ({"deliveries": {"lost": 1}}, "peak_lost"),
        ({"deliveries": {"duplicated": 2}}, "peak_duplicated"),
        (
            {"summary": {"warnings": [{"code": "generator_cpu", "invalidates": True}]}},
            "peak_invalid",
        ),
    ],
)
def test_each_fault_fails_its_own_row(tmp_path, changes, failing):
    """A slow run, a lossy one, one that sends twice, one that cannot be trusted."""
    rows = rows_of(CASE, ended(tmp_path / "peak", **changes))
    assert [failing] == [row.name for row in rows if not row.holds]


def test_users_who_did_not_join_fail_their_row(tmp_path):
    """Of four who should have."""
    four = Case("peak", "much", PEAK, PLAIN, users=4)
    rows = rows_of(four, ended(tmp_path / "peak"))
    assert ["peak_joined"] == [row.name for row in rows if not row.holds]


def test_run_that_measured_nothing_keeps_its_rows_and_says_why(tmp_path):
    """Without a value nothing holds, so the whole benchmark does not."""
    nothing = ended(tmp_path / "peak", run={}, exit_code=2, last_output="ended with 2: error: no")
    rows = rows_of(CASE, nothing)
    assert rows == missing(CASE, "ended with 2: error: no")
    assert {None} == {row.holds for row in rows}


def test_figure_that_a_run_does_not_have_is_missing(tmp_path):
    """A run that ended before it measured has no mean."""
    short = ended(tmp_path / "peak", deliveries={"per_s_mean": None}, exit_code=130)
    row = rows_of(CASE, short)[0]
    assert (None, "not measured; exit code 130, pass") == (row.value, row.missing)


def test_ends_of_all_runs_are_told_by_the_worst(tmp_path):
    """The slowest to write, the slowest to close, and who left most behind."""
    good = ended(tmp_path / "peak")
    slow = good._replace(written_s=15.5, closed_s=2.0, left=0, exit_code=3)
    rows = ending_rows({"peak": good, "tls": slow})
    assert [("ending_written", 15.5, False), ("ending_closed", 4.0, True)] == [
        (row.name, row.value, row.holds) for row in rows[:2]
    ]
    assert "worst: tls, exit code 3" == rows[0].note
    assert {"peak": 9.0, "tls": 15.5} == rows[0].details["by_run"]


def test_one_connection_left_behind_is_too_many(tmp_path):
    """Those that wait out their minute are the kernel's, and not counted."""
    rows = ending_rows({"peak": ended(tmp_path / "peak", left=1)})
    assert (1.0, False) == (rows[2].value, rows[2].holds)


def test_run_without_an_end_leaves_its_reason(tmp_path):
    """One that could not be carried through, and one that ended before its time."""
    early = ended(tmp_path / "tls", closed_s=None)
    rows = ending_rows({"peak": "had not ended after 180 s", "tls": early})
    assert "peak: had not ended after 180 s" == rows[0].missing
    assert "peak: had not ended after 180 s; tls: the run had no such end" == rows[1].missing


@pytest.mark.parametrize("case", [WHOLE, *CASES, *map(quick, CASES)], ids=lambda case: case.title)
def test_every_run_is_one_that_two_cores_can_carry(case):
    """Files, ports, memory and cores as `harness run` will find them; nothing is forced."""
    overrides = [f"{key}={value}" for key, value in case.settings.items()]
    plan = load_plan(case.workload, case.target, overrides=overrides)
    plan, workers = size_plan(plan, TWO_CORES, None)
    assert case.users == plan.users
    assert {} == shortages(plan, TWO_CORES, workers)
    wanted = case.deliveries_per_s
    assert wanted is None or plan.rate_per_s * plan.users > wanted
    assert case.joins_per_s is None or plan.workload.joins.rate_per_s > case.joins_per_s


def test_quick_run_wants_its_share_of_the_deliveries():
    """2,000 of 35,000 users get 2,000 ÷ 35,000 of them."""
    peak = quick(CASES[0])
    assert pytest.approx(100_000 * 2 / 35) == peak.deliveries_per_s
    assert QUICK_USERS == peak.users


def test_ends_of_connections_are_found_by_their_port(tmp_path):
    """On either side, in any state; an address that looks like the port is none."""
    table = tmp_path / "tcp"
    table.write_text(TABLE, encoding="ascii")
    assert ["0A", "01", "06"] == connections(8080, table)
    assert [] == connections(80, table)


def test_record_is_written_when_its_last_file_is(tmp_path):
    """A log that goes on does not count."""
    for name, at_s in (("run.json", 50), ("charts/a.svg", 70), ("locust.log", 90)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at_s, at_s))
    assert 70.0 == newest_s(tmp_path)


def test_planned_end_is_that_of_the_last_phase():
    """Of the committed sample: its epoch and its drain."""
    run = json.loads(Path("reports/sample/run.json").read_text("utf-8"))
    ends_s = [phase["end_s"] for phase in run["phases"]]
    assert max(ends_s) + run["epoch_ns"] / 1e9 == planned_end_s(run)
