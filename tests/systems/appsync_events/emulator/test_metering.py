import pytest

from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.metering import steps_of
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator.metering import (
    BILLED_COUNTS,
    Metering,
    bill,
    steps_of_encoded,
)
from harness.systems.appsync_events.options import Undocumented

COUNTS = (*SHARED_COUNTS, *BILLED_COUNTS)


@pytest.fixture
def make_metering(tmp_path):
    """Make the metering of one process, with rules of its own; it comes with its bill."""

    def make(**rules):
        counters = Counters(WorkerContext(tmp_path), COUNTS)
        metering = Metering(counters, Undocumented(**rules))

        def read():
            metering.refresh()
            return bill(counters.totals())

        return metering, counters, read

    return make


@pytest.mark.parametrize(
    ("size_bytes", "steps"),
    [(1, 1), (5120, 1), (5121, 2), (12 * 1024, 3), (33 * 1024, 7), (240 * 1024, 48)],
)
def test_event_is_metered_in_steps_of_5_kb(size_bytes, steps):
    """A step that has begun counts in full; 12 KB are three, as in AWS's own example."""
    assert steps == steps_of(size_bytes, 5120)
    assert steps == steps_of_encoded(wire.encode_event('"' + "x" * (size_bytes - 2) + '"'))


def test_escapes_of_the_wire_are_not_metered():
    """An event of quotes is twice as long on the wire; it is metered as it was published."""
    event = '"' * 5120
    assert 1 == steps_of_encoded(wire.encode_event(event))
    assert 2 == steps_of_encoded(wire.encode_event(event + '"'))


def test_event_to_400_subscribers_is_401_operations(make_metering):
    """One in and one out for each subscriber."""
    metering, counters, read = make_metering()
    metering.published([300])
    counters.add("deliveries.steps", 400)
    assert 401 == read()["operations"]


def test_hour_of_10_000_clients_costs_what_the_worked_example_says(make_metering, now_s):
    """3,600 in, 36,000,000 out, 10,000 connects and subscribes, and 600,000 minutes."""
    metering, counters, read = make_metering()
    for connection in range(10_000):
        metering.connected(connection)
        metering.subscribed()
    for _ in range(3600):
        metering.published([1000])
        counters.add("deliveries.steps", 10_000)
    now_s[0] += 3600
    for connection in range(10_000):
        metering.disconnected(connection)
    assert {
        "operations": 3_600 + 36_000_000 + 20_000,
        "inbound": 3_600,
        "outbound": 36_000_000,
        "handlers": 0,
        "connects": 10_000,
        "subscribes": 10_000,
        "unsubscribes": 0,
        "pings": 0,
        "connection_minutes": 600_000,
    } == read()


@pytest.mark.parametrize(
    ("rules", "kind", "operations"),
    [
        ({}, "inbound", 4),
        ({"batch_billed_once": True}, "inbound", 3),
        ({}, "handlers", 2),
        ({"handler_billed_per_event": True}, "handlers", 4),
        ({}, "pings", 0),
        ({"keep_alive_billed": True}, "pings", 1),
        ({}, "unsubscribes", 0),
        ({"unsubscribe_billed": True}, "unsubscribes", 1),
    ],
)
def test_what_is_ambiguous_is_billed_by_the_rules(make_metering, rules, kind, operations):
    """Three events of 12 KB in all, a handler for them and one for a subscription, and so on."""
    metering, _, read = make_metering(**rules)
    metering.published([6 * 1024, 5 * 1024, 1024])
    metering.handled(events=3)
    metering.handled()
    metering.keep_alive()
    metering.unsubscribed()
    assert operations == read()[kind]


@pytest.mark.parametrize(
    ("rules", "minutes"), [({}, 2 + 3), ({"minutes_rounded_up": False}, (90 + 121) / 60)]
)
def test_minutes_of_open_and_closed_connections_add_up(make_metering, now_s, rules, minutes):
    """One has gone after 90 s, one is open for 121 s; their last minutes are full, or are not."""
    metering, _, read = make_metering(**rules)
    metering.connected("open")
    now_s[0] += 15
    metering.connected("gone")
    now_s[0] += 90
    metering.disconnected("gone")
    metering.disconnected("never let in")
    now_s[0] += 16
    assert minutes == pytest.approx(read()["connection_minutes"])


def test_reset_bills_open_connections_from_then_on(make_metering, now_s):
    """What was before it is forgotten, for those that have gone and for those that stay."""
    metering, counters, read = make_metering(minutes_rounded_up=False)
    metering.connected("gone")
    metering.connected("stays")
    now_s[0] += 60
    metering.disconnected("gone")
    counters.reset()
    metering.reset()
    now_s[0] += 30
    assert 0.5 == read()["connection_minutes"]
