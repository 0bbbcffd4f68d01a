from harness.load.tally import IDLE_TAKES, MAX_ERROR_KINDS, Tally
from harness.measure.histogram import LatencyHistogram


def test_take_returns_what_was_counted_and_starts_anew():
    """Nothing is reported twice and nothing is forgotten."""
    tally = Tally()
    tally.count("chatter", "publishes_sent", 3)
    tally.latency("send_delay", "chatter", "measure", 5_000_000)
    tally.error("publish", "Timeout", "", "no answer in time")
    taken = tally.take()
    assert {"chatter": {"publishes_sent": 3}} == taken["counters"]
    assert [["publish", "Timeout", "", "no answer in time", 1]] == taken["errors"]
    histogram = LatencyHistogram()
    histogram.add_encoded(taken["histograms"]["send_delay.chatter.measure"])
    assert 1 == histogram.count
    assert {"counters": {}, "histograms": {}, "errors": []} == tally.take()


def test_histograms_stay_over_seconds_without_values_and_go_after_many(monkeypatch):
    """Seconds without a message make no garbage, and ended phases hold no memory."""
    made = []

    def make():
        made.append(LatencyHistogram())
        return made[-1]

    monkeypatch.setattr("harness.load.tally.LatencyHistogram", make)
    tally = Tally()
    for takes in (IDLE_TAKES - 1, IDLE_TAKES, 1):
        tally.latency("send_delay", "chatter", "measure", 5_000_000)
        assert ["send_delay.chatter.measure"] == list(tally.take()["histograms"])
        for _ in range(takes):
            assert {} == tally.take()["histograms"]
    assert 2 == len(made)


def test_negative_latency_is_counted_in_its_users_row():
    """A clock fault shows in the record and not in a histogram."""
    tally = Tally()
    tally.latency("fan_out_latency", "subscriber", "measure", -1)
    taken = tally.take()
    assert {"subscriber": {"negative_count": 1}} == taken["counters"]
    assert {} == taken["histograms"]


def test_flood_of_different_errors_stays_bounded_and_complete():
    """Unique texts are lumped together after a while; their number is kept."""
    tally = Tally()
    for number in range(1000):
        tally.error("receive", "RemoteError", "x", f"text {number}")
    errors = tally.take()["errors"]
    assert len(errors) == MAX_ERROR_KINDS + 1
    assert 1000 == sum(error[-1] for error in errors)
