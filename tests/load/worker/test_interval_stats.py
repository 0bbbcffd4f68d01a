from harness.load.worker.interval_stats import (
    IDLE_TAKES,
    MAX_ERROR_KINDS,
    IntervalStats,
    SubscriptionIntervals,
)
from harness.measure.histogram import LatencyHistogram


def test_take_returns_what_was_counted_and_starts_anew():
    """Nothing is reported twice and nothing is forgotten."""
    stats = IntervalStats()
    stats.count("chatter", "publishes_sent", 3)
    stats.latency("send_delay", "chatter", "measure", 5_000_000)
    stats.error("publish", "Timeout", "", "no answer in time")
    taken = stats.take()
    assert {"chatter": {"publishes_sent": 3}} == taken["counters"]
    assert [["publish", "Timeout", "", "no answer in time", 1]] == taken["errors"]
    histogram = LatencyHistogram()
    histogram.add_encoded(taken["histograms"]["send_delay.chatter.measure"])
    assert 1 == histogram.count
    assert {"counters": {}, "histograms": {}, "errors": []} == stats.take()


def test_histograms_stay_over_seconds_without_values_and_go_after_many(monkeypatch):
    """Seconds without a message make no garbage, and ended phases hold no memory."""
    made = []

    def make():
        made.append(LatencyHistogram())
        return made[-1]

    monkeypatch.setattr("harness.load.worker.interval_stats.LatencyHistogram", make)
    stats = IntervalStats()
    for takes in (IDLE_TAKES - 1, IDLE_TAKES, 1):
        stats.latency("send_delay", "chatter", "measure", 5_000_000)
        assert ["send_delay.chatter.measure"] == list(stats.take()["histograms"])
        for _ in range(takes):
            assert {} == stats.take()["histograms"]
    assert 2 == len(made)


def test_negative_latency_is_counted_in_its_users_row():
    """A clock fault shows in the record and not in a histogram."""
    stats = IntervalStats()
    stats.latency("fan_out_latency", "subscriber", "measure", -1)
    taken = stats.take()
    assert {"subscriber": {"negative_count": 1}} == taken["counters"]
    assert {} == taken["histograms"]


def test_flood_of_different_errors_stays_bounded_and_complete():
    """Unique texts are lumped together after a while; their number is kept."""
    stats = IntervalStats()
    for number in range(1000):
        stats.error("receive", "RemoteError", "x", f"text {number}")
    errors = stats.take()["errors"]
    assert len(errors) == MAX_ERROR_KINDS + 1
    assert 1000 == sum(error[-1] for error in errors)


def test_flood_of_different_errors_over_a_run_stays_bounded():
    """New texts, and then new codes, of every second are lumped together."""
    stats = IntervalStats()
    kinds = set()
    for second in range(20):
        for number in range(100):
            stats.error("receive", "RemoteError", f"{second}-{number}", f"id {second}-{number}")
        kinds |= {tuple(error[:-1]) for error in stats.take()["errors"]}
    assert len(kinds) == 2 * MAX_ERROR_KINDS + 1


def test_what_was_noted_is_told_once():
    """Starts and ends by channel; the next report begins anew."""
    notes = SubscriptionIntervals()
    notes.opened("/default/room-0", 10)
    notes.opened("/default/room-0", 20)
    notes.closed("/default/room-0", 10, 30)
    notes.opened("/default/room-1", 5)
    assert {"/default/room-0": ([10, 20], [30]), "/default/room-1": ([5], [])} == notes.take()
    assert {} == notes.take()


def test_connection_that_ends_before_it_had_settled_is_never_owed():
    """It ceases at the instant from which it would have been owed."""
    notes = SubscriptionIntervals()
    notes.closed("/default/room-0", 40, 30)
    assert {"/default/room-0": ([], [40])} == notes.take()
