"""What every system's client and emulator must do together, whichever system it is.

Parametrised over all systems that can be emulated; a new one is in it without any change here.
"""

import contextlib
import http.client
import os
import resource
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.core.clock import NS_PER_MS
from harness.net.client import JoinError
from harness.net.reading import EpollReader
from harness.net.ring_reading import RingReader, ring_works
from harness.scenario.emulator import FAULTS_PATH, RESET_PATH, STATS_PATH
from harness.scenario.target import has_wildcards, most_subscriptions
from tests.support.system_driver import Listener, encoded, wait_for
from tests.support.waiting import PATIENCE_S

END = "the end"
MESSAGES = list(range(12))
BIG_BYTES = 30_000
"""Below the smallest frame limit there is, API Gateway's 32 KB."""

MOST_BIG = 300
"""Big messages at most: some 9 MB, more than the kernel holds."""

LATER_MS = 300


def publish_all(chatter, channel, messages=MESSAGES):
    """Publish the messages one after the other, then the end; all must be accepted."""
    for message in (*messages, END):
        answer = chatter.publish(channel, message)
        assert answer.accepted, answer


def descriptors():
    """Return the files that this process holds, by number and by what they are."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # The one that lists them has gone.
            found.add((file.name, str(file.readlink())))
    return found


@contextlib.contextmanager
def one_descriptor_left():
    """Let this process open one more file, and no other."""
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def everybody_hears_the_end(users):
    for user in users:
        user.wait_until_heard(END)


def heard_under(stand, fault):
    """Publish while a fault plays; return what three subscribers heard, and what was counted."""
    room = stand.room()
    subscribers, chatter = [stand.subscriber(room) for _ in range(3)], stand.chatter()
    before = stand.stats()
    stand.play(fault)
    for message in MESSAGES:
        chatter.publish(room, message)
    stand.play()
    chatter.publish(room, END)
    everybody_hears_the_end(subscribers)
    return [user.heard for user in subscribers], stand.counted_since(before)


def test_join_is_confirmed_and_its_stages_lie_within_it(stand):
    """The stages add up to no more than the whole, and the confirmation is told once."""
    user = stand.subscriber(stand.room())
    times = user.times
    assert times.stages_ns
    assert 0 < sum(times.stages_ns.values()) <= time.time_ns() - times.start_ns
    assert times.start_ns < times.confirmed_ns <= time.time_ns()
    assert (1, True) == (user.listener.confirmations, user.client.open)


def test_every_subscriber_hears_every_message_once_and_in_order(stand):
    """Two subscribers and a chatter who also subscribes; twelve messages of another chatter."""
    room = stand.room()
    subscribers = [stand.subscriber(room), stand.subscriber(room), stand.chatter(room)]
    publish_all(stand.chatter(), room)
    everybody_hears_the_end(subscribers)
    assert [[*MESSAGES, END]] * 3 == [user.heard for user in subscribers]


def test_chatter_hears_its_own_messages_where_it_subscribes(stand):
    """Chat clients show what they sent when it comes back."""
    room = stand.room()
    chatter = stand.chatter(room)
    publish_all(chatter, room, [1])
    chatter.wait_until_heard(END)
    assert [1, END] == chatter.heard


def test_chatter_without_a_subscription_hears_nothing(stand):
    """It is answered all the same, and needs no confirmation of a subscription."""
    room, subscriber, chatter = stand.pair()
    publish_all(chatter, room, [1])
    subscriber.wait_until_heard(END)
    assert ([], [], 0) == (chatter.heard, chatter.listener.ends, chatter.listener.confirmations)


def test_channels_do_not_mix(stand):
    """Each subscriber hears what was sent to its own channel."""
    rooms = [stand.room(), stand.room()]
    subscribers, chatter = [stand.subscriber(room) for room in rooms], stand.chatter()
    for number in range(4):
        chatter.publish(rooms[number % 2], number)
    for room in rooms:
        chatter.publish(room, END)
    everybody_hears_the_end(subscribers)
    assert [[0, 2, END], [1, 3, END]] == [user.heard for user in subscribers]


def test_several_subscriptions_of_one_client_are_each_served_once(stand):
    """A client of two rooms, where the system has such; a third room is none of its."""
    if most_subscriptions(stand.target) < 2:
        pytest.skip("one connection holds one subscription")
    rooms = [stand.room() for _ in range(3)]
    user, chatter = stand.subscriber(*rooms[:2]), stand.chatter()
    for number, room in enumerate(rooms):
        chatter.publish(room, number)
    chatter.publish(rooms[0], END)
    user.wait_until_heard(END)
    assert (1, {0, 1, END}, 3) == (user.listener.confirmations, set(user.heard), len(user.heard))


def test_wildcard_hears_all_channels_once(stand):
    """Where the system has one: of rooms that are there and of rooms that are still to come."""
    if not has_wildcards(stand.target):
        pytest.skip("no subscription stands for all channels")
    user, chatter = stand.subscriber(f"/{stand.target.channel_namespace}/*"), stand.chatter()
    for number in range(3):
        chatter.publish(stand.room(), number)
    chatter.publish(stand.room(), END)
    user.wait_until_heard(END)
    assert [0, 1, 2, END] == user.heard


def test_user_of_several_rooms_who_comes_back_is_given_all_it_missed_or_nothing(stand):
    """What was sent meanwhile comes once and in order, or with some systems never."""
    if most_subscriptions(stand.target) < 2:
        pytest.skip("one connection holds one subscription")
    rooms, api = [stand.room(), stand.room()], stand.api()
    user, chatter = stand.subscriber(*rooms, api=api), stand.chatter()
    chatter.publish(rooms[0], "before")
    user.wait_until_heard("before")
    user.client.drop()
    for number in range(4):
        chatter.publish(rooms[number % 2], number)
    stand.subscriber(*rooms, api=api, listener=user.listener)
    for room in rooms:
        chatter.publish(room, f"back in {room}")
    for room in rooms:
        user.wait_until_heard(f"back in {room}")
    back = [f"back in {room}" for room in rooms]
    assert user.heard in (["before", *back], ["before", 0, 1, 2, 3, *back])


@pytest.mark.parametrize("names", [2, "*"])
def test_counts_of_the_emulator_are_what_users_of_several_rooms_heard(stand, names):
    """Two users of overlapping rooms, or two who hear all: to the last delivery."""
    if most_subscriptions(stand.target) < 2 or not has_wildcards(stand.target):
        pytest.skip("one connection holds one subscription, or none stands for all channels")
    rooms = [stand.room() for _ in range(3)]
    held = (
        [[f"/{stand.target.channel_namespace}/*"]] * 2 if names == "*" else [rooms[:2], rooms[1:]]
    )
    subscribers = [stand.subscriber(*paths) for paths in held]
    chatters, before = [stand.chatter() for _ in rooms], stand.stats()
    for chatter, room in zip(chatters, rooms, strict=True):
        publish_all(chatter, room)
    each = len(MESSAGES) + 1
    owed = 6 * each if names == "*" else 4 * each
    wait_for(lambda: sum(len(user.heard) for user in subscribers) >= owed, "all deliveries")
    counted = stand.counted_since(before)
    heard = sum(len(user.heard) for user in subscribers)
    assert owed == heard == counted.total("deliveries.owed") == counted.total("deliveries.sent")
    assert 3 * each == counted["publishes.accepted"]


def test_messages_known_by_their_bytes_are_the_ones_that_were_parsed(stand):
    """Two users share what they know and a third has only its own: all hear the same."""
    room, memo = stand.room(), {}
    api = stand.api()
    sharing = [stand.subscriber(room, api=api, memo=memo) for _ in range(2)]
    alone = stand.subscriber(room, api=api)
    publish_all(stand.chatter(), room)
    everybody_hears_the_end([*sharing, alone])
    assert [[*MESSAGES, END]] * 3 == [user.heard for user in (*sharing, alone)]
    assert sum(len(user.listener.events) for user in sharing) < 2 * len(alone.heard)


def test_publish_over_http_is_delivered_or_refused_with_a_code(stand):
    """Not every system takes publishes there; one that does delivers them."""
    room, subscriber, chatter = stand.pair()
    answer = stand.api().publish_over_http("h", room, [encoded("over http")])
    assert ("h", True) == (answer.publish_id, answer.accepted or bool(answer.code))
    chatter.publish(room, END)
    subscriber.wait_until_heard(END)
    assert answer.accepted == ("over http" in subscriber.heard)


def test_refused_publish_is_told_and_reaches_nobody(stand):
    """The answer says no and why; the emulator counts it."""
    room, subscriber, chatter = stand.pair()
    before = stand.stats()
    stand.play({"kind": "throttle_publishes"})
    answer = chatter.publish(room, "too much")
    stand.play()
    publish_all(chatter, room, [])
    subscriber.wait_until_heard(END)
    assert (False, True, True) == (answer.accepted, answer.throttled, bool(answer.code))
    assert [END] == subscriber.heard
    assert 1 == stand.counted_since(before).total("publishes.throttled.fault")


def test_counts_of_the_emulator_are_what_was_heard(stand):
    """Accepted, owed and sent: to the last delivery."""
    rooms = [stand.room(), stand.room()]
    subscribers = [stand.subscriber(room) for room in (rooms[0], rooms[0], rooms[1])]
    chatters, before = [stand.chatter() for _ in rooms], stand.stats()
    for chatter, room in zip(chatters, rooms, strict=True):
        publish_all(chatter, room)
    everybody_hears_the_end(subscribers)
    counted = stand.counted_since(before)
    messages = len(MESSAGES) + 1
    assert 2 * messages == counted["publishes.accepted"]
    heard = sum(len(user.heard) for user in subscribers)
    owed, sent = counted.total("deliveries.owed"), counted.total("deliveries.sent")
    assert 3 * messages == heard == owed == sent


@pytest.mark.parametrize(
    ("method", "path"), [("GET", STATS_PATH), ("POST", FAULTS_PATH), ("POST", RESET_PATH)]
)
def test_web_page_elsewhere_may_neither_read_counts_nor_change_anything(stand, method, path):
    """It can make a browser on this machine send requests, which then name its origin."""
    parts = urlsplit(stand.endpoints.http)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    body = b'[{"kind": "drop"}]' if method == "POST" else None
    connection.request(method, path, body, {"Origin": "https://evil.example.org"})
    assert HTTPStatus.FORBIDDEN == connection.getresponse().status
    connection.close()

    room, subscriber, chatter = stand.pair()
    chatter.publish(room, END)
    subscriber.wait_until_heard(END)


def test_dropped_deliveries_are_missing_and_counted(stand):
    """What did not come is what the emulator says it dropped."""
    heard, counted = heard_under(stand, {"kind": "drop", "ratio": 0.3, "count": 7})
    missing = 3 * (len(MESSAGES) + 1) - sum(map(len, heard))
    assert 0 < missing == counted.total("deliveries.dropped.fault") <= 7


def test_duplicated_deliveries_come_twice_and_are_counted(stand):
    """Copies besides, and nothing missing."""
    heard, counted = heard_under(stand, {"kind": "duplicate", "ratio": 0.3, "count": 7})
    assert [{*MESSAGES, END}] * 3 == [*map(set, heard)]
    copies = sum(map(len, heard)) - 3 * (len(MESSAGES) + 1)
    assert 0 < copies == counted.total("deliveries.duplicated") <= 7


def test_delayed_deliveries_come_late_in_order_and_are_counted(stand):
    """None comes before its time, and all do come."""
    room, subscriber, chatter = stand.pair()
    before = stand.stats()
    stand.play({"kind": "delay", "delay_ms": LATER_MS})
    started_ns = time.monotonic_ns()
    publish_all(chatter, room)
    wait_for(lambda: subscriber.heard, "the first message")
    waited_ns = time.monotonic_ns() - started_ns
    subscriber.wait_until_heard(END)
    stand.play()
    assert waited_ns >= LATER_MS * NS_PER_MS
    assert [*MESSAGES, END] == subscriber.heard
    assert len(subscriber.heard) == stand.counted_since(before).total("deliveries.delayed.fault")


def test_refused_join_says_at_which_stage_and_why(stand):
    """The emulator cuts the connection before anybody is in."""
    before = stand.stats()
    stand.play({"kind": "refuse_connects", "status": 503})
    with pytest.raises(JoinError) as caught:
        stand.subscriber(stand.room())
    assert caught.value.stage
    assert caught.value.code
    assert 1 <= stand.counted_since(before).total("connects.refused.fault")


@pytest.mark.parametrize("kind", [EpollReader, RingReader])
def test_join_for_which_no_descriptor_is_left_fails_with_the_kernels_code(stand, kind, monkeypatch):
    """The socket gets the last one, and the loop's reader none; later there are some again."""
    if kind is RingReader and not ring_works():
        pytest.skip("this kernel, or the container, allows no io_uring")
    reader = kind()
    monkeypatch.setattr("harness.net.stream.reader", lambda: reader)
    monkeypatch.setattr("harness.net.stream.RESERVED_FILES", 0)
    room, api, listener = stand.room(), stand.api(), Listener("subscriber")
    before = descriptors()
    with one_descriptor_left(), pytest.raises(JoinError) as caught:
        stand.subscriber(room, api=api, listener=listener)
    assert ("EMFILE", 0) == (caught.value.code, listener.confirmations)
    assert set() == descriptors() - before
    user = stand.subscriber(room, api=api, listener=listener)
    publish_all(stand.chatter(), room)
    user.wait_until_heard(END)
    assert [*MESSAGES, END] == user.heard
    stand.clear()  # While its reader is the one that its streams are with.


def test_wrong_key_is_refused_at_the_join_with_a_code(stand):
    """A chatter who may not come in is told so; those who only listen may need no key."""
    if not stand.target.emulator.client_key:
        pytest.skip("this system asks for no key")
    with pytest.raises(JoinError) as caught:
        stand.chatter(stand.room(), api=stand.api("no-such-key"))
    assert caught.value.code not in ("", "timeout")


def test_user_whose_connection_ends_hears_of_it_and_can_come_back(stand):
    """It is told once, or its client has come back by itself; then messages come again, once."""
    room, api = stand.room(), stand.api()
    user, before = stand.subscriber(room, api=api), stand.stats()
    stand.chatter().publish(room, "before")
    user.wait_until_heard("before")
    stand.play({"kind": "disconnect"})
    wait_for(
        lambda: stand.counted_since(before).total("disconnects.fault"), "the end of connections"
    )
    stand.play()
    chatter = stand.chatter()
    chatter.publish(room, "away")
    wait_for(lambda: user.listener.ends or "away" in user.heard, "the end, or what follows it")
    user.client.drop()
    stand.subscriber(room, api=api, listener=user.listener)
    chatter.publish(room, "back")
    chatter.publish(room, END)
    user.wait_until_heard(END)
    # What was sent while it was away is replayed by some systems, and gone with others.
    assert user.heard in (["before", "back", END], ["before", "away", "back", END])
    assert len(user.listener.ends) <= 1


def test_close_is_clean_and_nobody_is_told_of_an_end(stand):
    """The one who leaves knows; the emulator has no connection of it any more."""
    before = stand.stats().total("connections")
    user = stand.subscriber(stand.room())
    user.client.close()
    wait_for(lambda: not user.client.open, "the system's goodbye")
    wait_for(lambda: stand.stats().total("connections") <= before, "the emulator's goodbye")
    assert ([], []) == (user.listener.ends, user.listener.refusals)


@pytest.mark.slow
def test_slow_reader_costs_nobody_else_and_its_backlog_is_bounded(stand):
    """Others hear all; it is cut off, or passed over, and counted; or never sent the unasked."""
    room = stand.room()
    slow, quick, before = stand.subscriber(room), stand.subscriber(room), stand.stats()
    slow.client.pause(paused=True)
    sent = 0
    while sent < MOST_BIG and not bounded(stand, before):
        chatter = stand.chatter()
        for message in MESSAGES:
            chatter.publish(room, [message, "x" * BIG_BYTES])
        chatter.client.drop()
        sent += len(MESSAGES)
    stand.chatter().publish(room, END)
    quick.wait_until_heard(END)
    assert sent + 1 == len(quick.heard)
    cut, passed_over = bounded(stand, before) or (0, 0)
    slow.client.pause(paused=False)
    wait_for(
        lambda: slow.listener.ends or END in slow.heard or passed_over, "the end of the backlog"
    )
    assert slow.heard == quick.heard[: len(slow.heard)]
    assert (cut, passed_over > 0, slow.heard.count(END)) in ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def bounded(stand, before):
    """Return how many clients were cut off and deliveries held back, if any; else nothing."""
    counts = stand.counted_since(before)
    found = counts.total("disconnects.slow_subscriber"), counts.total("dropped.throttled")
    return found if any(found) else ()


def test_everything_works_over_tls(encrypted):
    """The emulator's own certificate is trusted and checked; messages come whole."""
    assert encrypted.endpoints.realtime.startswith(("wss:", "https:"))
    room, subscriber, chatter = encrypted.pair()
    chatter.publish(room, ["x" * BIG_BYTES])
    publish_all(chatter, room)
    subscriber.wait_until_heard(END)
    assert [["x" * BIG_BYTES], *MESSAGES, END] == subscriber.heard
