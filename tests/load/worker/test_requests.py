import orjson
import pytest

from harness.load.master.assembler import SecondAssembler
from harness.load.worker.interval_stats import IntervalStats
from harness.load.worker.locust_table import OF_THE_HARNESS
from harness.load.worker.requests import MAX_NAMES, OTHER_NAMES, RequestCounter
from harness.measure.histogram import LatencyHistogram
from harness.measure.record import RecordWriter, request_tag
from harness.measure.record_schema import JOURNAL_TABLES
from tests.support.plans import make_plan


class Answer:
    status_code = 503


@pytest.fixture(name="stats")
def _stats():
    return IntervalStats()


@pytest.fixture(name="counter")
def _counter(stats):
    return RequestCounter(stats, lambda: "measure")


def test_requests_are_counted_by_name_with_failures_and_bytes(counter, stats):
    """A failure counts as a request too, and its latency with the others, as in Locust's table."""
    counter.on_request("GET", "/", 2.0, 100)
    counter.on_request("GET", "/", 4.0, 50, exception=OSError("gone\naway"), response=Answer())
    counter.on_request("POST", "/", None, None)
    rows = counter.take()
    taken = stats.take()
    assert [["measure", "GET /", 2, 1, 150], ["measure", "POST /", 1, 0, 0]] == rows
    assert [["request", "OSError", "503", "GET /: gone away", 1]] == taken["errors"]
    latencies = LatencyHistogram()
    latencies.add_encoded(taken["histograms"]["request_latency.GET%20%2F.measure"])
    assert 2 == latencies.count
    assert [] == counter.take()


def test_operations_of_the_harness_are_no_requests(counter, stats):
    """Joins and publishes stand in Locust's table, and have figures of their own."""
    counter.on_request("JOIN", "subscriber", 5.0, 0, context=OF_THE_HARNESS)
    assert ([], {}) == (counter.take(), stats.take()["histograms"])


def test_names_without_end_are_one_name(counter):
    """A number in the name must not fill the memory."""
    for number in range(MAX_NAMES + 5):
        counter.on_request("GET", f"/{number}", 1.0, 0)
    counts = {row[1]: row[2] for row in counter.take()}
    assert (MAX_NAMES + 1, 5) == (len(counts), counts[OTHER_NAMES])


@pytest.mark.parametrize("latency_ms", [-1.0, 4e6])
def test_latency_that_cannot_be_is_told_and_in_no_percentile(counter, stats, latency_ms):
    """Counted, never clamped."""
    counter.on_request("GET", "/", latency_ms, 0)
    taken = stats.take()
    assert {} == taken["histograms"]
    assert "OutOfRange" == taken["errors"][0][1]
    assert 1 == counter.take()[0][2]


def test_exception_of_a_task_is_an_error_of_its_class(counter, stats):
    """Locust fires its event with the user's own set of tasks."""

    class Tasks:
        user = Answer()

    counter.on_user_error(Tasks(), ValueError("no such page"))
    assert [["task", "ValueError", "", "Answer: no such page", 1]] == stats.take()["errors"]


@pytest.mark.parametrize("name", ["GET /a.b,c d", "GET /ü", "%2E"])
def test_tag_of_a_request_is_one_part_of_the_histogram_log(name):
    """A dot or a comma would tear the line apart."""
    assert not set(request_tag(name)) & set("., \n")


def test_tags_of_different_requests_differ():
    """What is escaped by hand must not look like what a name holds."""
    assert 3 == len({request_tag(name) for name in ("a.b", "a%2Eb", "a%252Eb")})


def test_requests_of_all_workers_are_one_row_a_second_and_name(tmp_path):
    """Counts add up and histograms merge."""
    with RecordWriter(tmp_path / "run") as writer:
        assembler = SecondAssembler(make_plan(), writer, workers=2)
        for worker, latency_ms in enumerate((2.0, 8.0)):
            stats = IntervalStats()
            counter = RequestCounter(stats, lambda: "measure")
            counter.on_request("GET", "/", latency_ms, 10)
            report = {"worker": worker, "second": 0, "connected": {}, "generator": {}}
            lists: dict[str, list[object]] = {"publishes": [], "arrivals": []}
            users = {"requests": counter.take(), "tried": {"subscriber": 4}}
            assembler.add(report | lists | users | stats.take())
    (line,) = (tmp_path / "run/journal/requests.jsonl").read_bytes().splitlines()
    row = orjson.loads(line)
    assert list(row) == list(JOURNAL_TABLES["requests"])
    counted = ("second", "name", "count", "failures", "bytes")
    assert (0, "GET /", 2, 0, 20) == tuple(row[key] for key in counted)
    assert (2.0, 8.0) == pytest.approx((row["latency_ms_p50"], row["latency_ms_max"]), rel=1e-3)
    assert {"subscriber": 8, "chatter": 0} == assembler.users["tried"]
