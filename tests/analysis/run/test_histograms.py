import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.run.histograms import parse_histogram_log, percentile_curve, read_histograms
from harness.measure.histogram import bins_of, log_header, log_line
from tests.support.records import histogram

HEAD = log_header(1_795_447_800.0)


def log(*lines):
    """Return a log of (tag, values in ms) as bytes."""
    body = [log_line(tag, 1.0, 1.0, histogram(*values)) for tag, values in lines]
    return (HEAD + "".join(body)).encode()


def test_seconds_of_one_tag_are_merged_and_not_averaged():
    """The median of 1, 1, 1 and 9 ms is 1 ms; the mean of both seconds' medians would be 5."""
    merged, _, damaged = parse_histogram_log(log(("m.a.p", (1, 1, 1)), ("m.a.p", (9,))))
    assert 0 == damaged
    assert 4 == merged["m", "a", "p"].count
    assert 1.0 == pytest.approx(merged["m", "a", "p"].percentiles_ms()["p50"], rel=0.001)


def test_classes_and_phases_are_merged_on_request(tmp_path):
    """None stands for every class or every phase."""
    path = tmp_path / "histograms.hlog"
    path.write_bytes(log(("m.a.p", (1,)), ("m.b.p", (2,)), ("m.a.q", (3,)), ("n.a.p", (4,))))
    histograms = read_histograms(path)
    assert 3 == histograms.merged("m").count
    assert 2 == histograms.merged("m", phase="p").count
    assert 2 == histograms.merged("m", user_class="a").count
    assert 0 == histograms.merged("absent").count


def test_fan_out_latencies_are_kept_by_second_too(tmp_path):
    """All classes and phases of a second together; nothing is lost in the coarser bins."""
    lines = [
        log_line("fan_out_latency.subscriber.measure", 7, 1.0, histogram(1, 2, 4000)),
        log_line("fan_out_latency.chatter.warm_up", 7, 1.0, histogram(2)),
        log_line("fan_out_latency.subscriber.measure", 9, 1.0, histogram(3)),
        log_line("service_latency.subscriber.measure", 9, 1.0, histogram(3)),
    ]
    path = tmp_path / "histograms.hlog"
    path.write_text(HEAD + "".join(lines))
    by_second = read_histograms(path).by_second
    assert {7: 4, 9: 1} == {second: bins.sum() for second, bins in by_second.items()}
    filled = np.flatnonzero(by_second[7])
    assert bins_of(np.array([1_000_000, 2_000_000, 4_000_000_000])).tolist() == filled.tolist()


def test_a_torn_last_line_is_left_out_and_counted(tmp_path):
    """Everything before it is read."""
    path = tmp_path / "histograms.hlog"
    path.write_bytes(log(("m.a.p", (1,)), ("m.a.p", (2,)))[:-12])
    histograms = read_histograms(path)
    assert 1 == histograms.merged("m").count
    assert "histograms.hlog has 1 damaged line" == histograms.problem


def test_a_missing_log_is_a_problem_and_no_error(tmp_path):
    """A record without latencies can still be shown."""
    histograms = read_histograms(tmp_path / "histograms.hlog")
    assert "histograms.hlog is missing" == histograms.problem
    assert 0 == histograms.merged("m").count


def test_the_curve_climbs_to_the_whole():
    """Shares are cumulative and the last value is the maximum."""
    latency_ms, share = percentile_curve(histogram(10, 10, 20, 40))
    assert [10, 20, 40] == pytest.approx(latency_ms.tolist(), rel=0.001)
    assert [0.5, 0.75, 1.0] == share.tolist()


def test_the_curve_of_nothing_is_empty():
    """No value, no point."""
    latency_ms, share = percentile_curve(histogram())
    assert (0, 0) == (len(latency_ms), len(share))


@given(st.binary(max_size=120))
def test_any_bytes_parse_without_an_error(data):
    """Whatever stands in the log, what is readable is read."""
    merged, _, damaged = parse_histogram_log(b"Tag=m.a.p,1.0,1.0,1.0," + data + b"\n")
    assert damaged + len(merged) >= 1
