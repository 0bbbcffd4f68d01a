"""Timing and strictness that clients rely on."""

import time

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import KEY
from tests.support.waiting import wait_for

KEEP_ALIVE_S = 0.5


@documented("ka comes every 60 s.", "eventapi/event-api-websocket-protocol")
def test_keep_alive_comes_at_its_interval(connect, started):
    """Here the interval is shortened; each one is awaited, none comes early."""
    peer = connect(started(keep_alive_s=KEEP_ALIVE_S))
    began_s = time.monotonic()
    peer.ask(type="connection_init")
    for number in (1, 2, 3):
        assert {"type": "ka"} == peer.hear()
        assert number * KEEP_ALIVE_S <= time.monotonic() - began_s


@observed(
    "An unsubscribe sent before subscribe_success is no error.",
    "aws-appsync-events by auvred: the service ignores it",
)
def test_early_unsubscribe_is_no_error(peer):
    """The subscription is either ended or goes on; neither answer is an error."""
    peer.say(type="subscribe", id="1", channel="/direct/slow", authorization=KEY)
    peer.say(type="unsubscribe", id="1")
    types = [message["type"] for message in peer.heard_before_next_answer()]
    assert "subscribe_success" in types
    assert {"subscribe_success", "unsubscribe_success"} >= set(types)


@assumed(
    "Events published once subscribe_success has come are delivered.",
    "Android's tests wait 2 s more, for a gap the service was seen to have",
)
def test_subscription_holds_from_its_confirmation(connect, emulator):
    """Another connection publishes at once."""
    subscriber, publisher = connect(emulator), connect(emulator)
    subscriber.subscribe("1", "/default/at-once")
    publisher.publish("/default/at-once", 1)
    assert "1" == subscriber.hear()["event"]


@observed(
    "Events may pass a subscription by for some time after its confirmation, as an option.",
    "Android's integration tests against AWS sleep 2 s after subscribe_success",
)
def test_settling_subscription_misses_events(connect, started):
    """With a settle time an event published at once is lost, and one published later is not."""
    emulator = started(subscribe_settle_ms=1500)
    subscriber, publisher = connect(emulator), connect(emulator)
    subscriber.subscribe("1", "/default/settling")
    publisher.publish("/default/settling", "early")

    def heard():
        publisher.publish("/default/settling", "late")
        return subscriber.events_before_next_answer()

    assert {'"late"'} == set(wait_for(heard))


@assumed("After unsubscribe_success nothing more comes for that id.", "clients would ignore it")
def test_nothing_comes_after_unsubscribe(peer):
    """An event published next is not delivered."""
    peer.subscribe("1", "/default/over")
    peer.ask(type="unsubscribe", id="1")
    peer.publish("/default/over", 1)
    assert [] == peer.heard_before_next_answer()


@assumed(
    "The deliveries of one publisher come in the order it sent them.", "no order is documented"
)
def test_order_of_one_publisher_is_kept(connect, emulator):
    """Ten publishes of two events each."""
    subscriber, publisher = connect(emulator), connect(emulator)
    subscriber.subscribe("1", "/default/order")
    for number in range(10):
        publisher.publish("/default/order", number, number + 0.5)
    events = [float(message["event"]) for message in subscriber.heard_before_next_answer()]
    assert [number / 2 for number in range(20)] == events


@assumed("The events of a batch may come in any order, as an option.", "no order is documented")
def test_batch_may_come_in_any_order(connect, started):
    """Over some batches at least one is not in order, and nothing is lost."""
    peer = connect(started(undocumented={"shuffle_deliveries": True}))
    peer.subscribe("1", "/default/shuffled")
    orders = []
    for _ in range(8):
        peer.publish("/default/shuffled", *range(5))
        orders.append(peer.events_before_next_answer())
    assert all(["0", "1", "2", "3", "4"] == sorted(order) for order in orders)
    assert any(["0", "1", "2", "3", "4"] != order for order in orders)
