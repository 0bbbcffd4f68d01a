import pandas as pd
import pytest

from harness.analysis.run.clocks import below_clock_error, clock_error_ms
from harness.analysis.run.finalize import analyse
from harness.report.clocks import clocks, latency
from tests.support.records import run_file, second, worker_second, write_record

THIN = "\N{NARROW NO-BREAK SPACE}"
ERROR_2_MS = {"generator": {"clock_error_ms": 2.0}}


def rows(*values):
    return pd.DataFrame(values, columns=["second", "worker", "clock_error_ms"])


def test_error_is_that_of_the_two_worst_clocks_of_a_second():
    """A latency begins on one clock and ends on the other: 0.4 + 0.3, not 0.9 of two seconds."""
    seconds = rows((1, 0, 0.1), (1, 1, 0.4), (1, 2, 0.3), (2, 0, 0.5), (2, 1, 0.0), (2, 2, 0.1))
    assert 0.7 == clock_error_ms(seconds)


def test_one_worker_elsewhere_is_wrong_by_its_own_error():
    """The other's clock is the run clock."""
    assert 0.5 == clock_error_ms(rows((1, 0, 0.0), (1, 1, 0.5)))


def test_error_is_unknown_where_nothing_was_measured():
    """Unknown is not zero."""
    assert clock_error_ms(rows((1, 0, None))) is None


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("fan_out_latency_ms.p50", 1.9, 2.0),
        ("completion_latency_ms.p50", 1.9, 2.0),
        ("fan_out_latency_ms.p99", 2.1, None),
        ("joins.latency_ms.p50", 0.3, None),
        ("receive_delay_ms.p50", 0.1, None),
        ("fan_out_latency_ms.p50", None, None),
    ],
)
def test_only_latencies_between_clocks_can_be_below_their_error(metric, value, expected):
    """A join begins and ends on one clock."""
    assert expected == below_clock_error(metric, value, ERROR_2_MS)


def test_latency_below_the_error_is_not_quoted():
    """It was at most that."""
    said = [latency("fan_out_latency_ms", value, ERROR_2_MS) for value in (0.7, 15.1)]
    assert ["≤ 2.0 ms", "15.1 ms"] == [text.replace(THIN, " ") for text in said]


def measured(tmp_path, error_ms, *, negative_ms=0.0):
    """Analyse a run of a worker here and one elsewhere, which is 300 ms ahead and drifts."""
    workers = [
        {"index": 0, "host": "here", "clock": "run clock"},
        {"index": 1, "host": "far", "clock": "measured"},
    ]
    seconds = [
        worker_second(number)
        | {"clock_offset_ms": 0.0, "clock_error_ms": 0.0, "clock_exchanges": 0}
        for number in range(12)
    ]
    seconds += [
        worker_second(number)
        | {"worker": 1, "clock_offset_ms": -300.0 - 0.1 * number, "clock_error_ms": error_ms}
        | {"clock_round_trip_ms": 1.0, "clock_exchanges": 2, "negative_ms_max": negative_ms}
        for number in range(12)
    ]
    timeline = [second(number, negative_count=int(negative_ms > 0)) for number in range(4, 10)]
    run = run_file(workers=workers)
    return analyse(write_record(tmp_path / "run", run=run, generator=seconds, timeline=timeline))


def test_report_shows_each_workers_clock(tmp_path):
    """Its offset, its error, and a drift of 0.1 ms a second."""
    found = measured(tmp_path, 0.6)
    table = clocks(found.record, found.summary)
    first, second_row = ([cell.text.replace(THIN, " ") for cell in row] for row in table.rows)
    assert ["Worker 0", "here", "the run clock's own host"] == first[:3]
    figures = ["−301 ms", "0.60 ms", "0.60 ms", "−100 ppm", "1.0 ms", "24"]
    assert ["Worker 1", "far", *figures] == second_row


def test_error_over_the_limit_makes_the_run_invalid(tmp_path):
    """Ten milliseconds by default."""
    codes = [warning["code"] for warning in measured(tmp_path, 10.1).summary["warnings"]]
    assert "clock_error" in codes


def test_clock_that_was_never_measured_makes_the_run_invalid(tmp_path):
    """Nobody knows what its latencies mean."""
    found = measured(tmp_path, None)
    (warning,) = [one for one in found.summary["warnings"] if one["code"] == "clock_unmeasured"]
    assert ("workers 1", True) == (warning["observed"], warning["invalidates"])


def test_run_on_one_machine_has_no_clocks_to_show(tmp_path):
    """There is one clock."""
    found = analyse(write_record(tmp_path / "run"))
    assert [] == clocks(found.record, found.summary).rows


@pytest.mark.parametrize(("negative_ms", "code"), [(0.5, "clock_negative"), (0.7, "clock_unsound")])
def test_negative_latencies_are_sound_as_far_as_the_error_explains_them(
    tmp_path, negative_ms, code
):
    """An error of 0.6 ms makes 0.5 below zero possible, and not 0.7."""
    warnings = measured(tmp_path, 0.6, negative_ms=negative_ms).summary["warnings"]
    (warning,) = [one for one in warnings if one["code"].startswith("clock_")]
    assert (code, code == "clock_unsound") == (warning["code"], warning["invalidates"])
