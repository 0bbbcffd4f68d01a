"""The emulator against clients of the standard library and of aiohttp."""

import asyncio
import contextlib
import json
import selectors
import ssl
import time
import urllib.request

import aiohttp
import psutil
import pytest
from pydantic import ValidationError

from harness.systems.server_sent_events.emulator.process import ServerSentEventsEmulator
from harness.systems.server_sent_events.options import Options
from tests.support.waiting import PATIENCE_S, wait_for


def test_stream_has_the_headers_and_the_reconnection_time(emulator):
    """200, the content type, no caching or buffering on the way, the chunked coding, `retry`."""
    stream = emulator.stream()
    headers = stream.head.headers
    assert (200, "text/event-stream") == (stream.head.status, headers.get_content_type())
    assert ("no-store", "no") == (headers["Cache-Control"], headers["X-Accel-Buffering"])
    assert "chunked" == headers["Transfer-Encoding"]


def test_event_reaches_the_listeners_of_its_channel_with_rising_ids(emulator):
    """Two listeners of a channel get both events in order; one of another gets its own only."""
    streams = [emulator.stream(), emulator.stream()]
    elsewhere = emulator.stream("default/room-1")
    ids = [emulator.publish("first"), emulator.publish("second line\nthird line")]
    emulator.publish("other", "default/room-1")
    for stream in streams:
        expected = [(ids[0], "first"), (ids[1], "second line\nthird line")]
        assert expected == [stream.event(), stream.event()]
    assert int(ids[0]) < int(ids[1])
    assert "other" == elsewhere.event()[1]


def test_stream_of_several_channels_gets_each_event_of_any_once(emulator):
    """By name, by wildcard or by both; a comma that is encoded belongs to a name."""
    several = emulator.stream("default/a,default/b")
    below, both = emulator.stream("default/*"), emulator.stream("default/a,default/*,default/a")
    comma = emulator.stream("default/a%2Cdefault/b")
    for channel in ("default/a", "default/c/d", "default", "default/b", "default/a%2Cdefault/b"):
        emulator.publish(channel, channel)
    everything = ["default/a", "default/c/d", "default/b", "default/a%2Cdefault/b"]
    assert ["default/a", "default/b"] == [several.event()[1] for _ in range(2)]
    for stream in (below, both):
        assert everything == [stream.event()[1] for _ in range(4)]
    assert "default/a%2Cdefault/b" == comma.event()[1]
    stats = emulator.stats()
    assert (11, 11) == (stats["deliveries"]["owed"], stats["deliveries"]["sent"])
    assert (4, 6) == (stats["connects"]["accepted"], stats["subscribes"]["accepted"])


def test_returning_client_of_several_channels_gets_what_it_missed_in_all_of_them(emulate):
    """In the order of publishing, whatever channel it was in, and nothing of others."""
    emulator = emulate(processes=2)
    ids = [emulator.publish(str(number), f"default/{'abc'[number % 3]}") for number in range(9)]
    several = emulator.stream("default/c,default/a", **{"Last-Event-ID": ids[2]})
    everything = emulator.stream("default/*", **{"Last-Event-ID": ids[2]})
    last = emulator.publish("9", "default/a")
    assert ["3", "5", "6", "8", "9"] == [several.event()[1] for _ in range(5)]
    heard = [everything.event() for _ in range(7)]
    assert [*zip(ids[3:], "345678", strict=True), (last, "9")] == heard
    deliveries = emulator.stats()["deliveries"]
    # One that the other process took just before may count as sent and not as replayed.
    assert 5 + 7 == deliveries["replayed"] + deliveries["sent"]


def test_connection_of_several_channels_is_gone_from_all_when_it_ends(emulator):
    """One subscription, of which nothing stays behind."""
    stream = emulator.stream("default/a,default/b,default/*")
    assert 1 == emulator.stats()["subscriptions"]
    stream.close()
    wait_for(lambda: emulator.stats()["connections"] == 0)
    emulator.publish("nobody", "default/a")
    stats = emulator.stats()
    assert (0, 0) == (stats["subscriptions"], stats["deliveries"]["owed"])


def test_dropped_deliveries_of_users_with_several_channels_are_counted_once(emulator):
    """A fault decides over each delivery, and one who named the channel twice has one."""
    stream = emulator.stream("default/a,default/*")
    emulator.set_faults({"kind": "drop", "count": 3})
    for number in range(5):
        emulator.publish(str(number), "default/a")
    assert ["3", "4"] == [stream.event()[1] for _ in range(2)]
    deliveries = emulator.stats()["deliveries"]
    assert (5, 2, 3) == (deliveries["owed"], deliveries["sent"], deliveries["dropped"]["fault"])


def test_publish_to_a_wildcard_is_refused_and_counted(emulator):
    """It stands for channels that nobody named."""
    assert 400 == emulator.request("POST", "/pub/default/*", "x")[0]
    assert 1 == emulator.stats()["publishes"]["refused"]["bad_request"]


def test_aiohttp_client_reads_the_same_stream(emulator):
    """An independent HTTP client decodes what chunks and lines hold."""

    async def first_data():
        base = f"http://127.0.0.1:{emulator.port}"
        async with aiohttp.ClientSession() as session, session.get(f"{base}/sub/a") as stream:
            await session.post(f"{base}/pub/a", data='{"hello":1}')
            async for line in stream.content:
                if line.startswith(b"data: "):
                    return line
        return None

    assert b'data: {"hello":1}\n' == asyncio.run(asyncio.wait_for(first_data(), PATIENCE_S))


def test_returning_client_gets_exactly_what_it_missed(emulator):
    """Last-Event-ID gives the events after it, and counts them as replayed."""
    ids = [emulator.publish(str(number)) for number in range(5)]
    missed = emulator.stream(**{"Last-Event-ID": ids[1]})
    emulator.publish("5")
    assert ["2", "3", "4", "5"] == [missed.event()[1] for _ in range(4)]
    deliveries = emulator.stats()["deliveries"]
    assert (3, 1, 1) == (deliveries["replayed"], deliveries["owed"], deliveries["sent"])


@pytest.mark.parametrize("last_event_id", ["", "no number", "-1", "²"])
def test_strange_cursor_replays_nothing(emulator, last_event_id):
    """Who comes with an id that is none gets what is published from then on."""
    emulator.publish("old")
    stream = emulator.stream(**{"Last-Event-ID": last_event_id.encode()})
    emulator.publish("new")
    assert "new" == stream.event()[1]


def test_replay_is_bounded_by_count_and_by_age(emulate):
    """Only the last two events are kept; of age zero, none."""
    few = emulate(replay_events=2)
    ids = [few.publish(str(number)) for number in range(4)]
    stream = few.stream(**{"Last-Event-ID": ids[0]})
    assert ["2", "3"] == [stream.event()[1] for _ in range(2)]
    old = emulate(replay_age_s=0.001)
    first = old.publish("0")
    old.publish("1")
    due_ns = time.monotonic_ns() + 10_000_000
    wait_for(lambda: time.monotonic_ns() > due_ns)
    stream = old.stream(**{"Last-Event-ID": first})
    old.publish("2")
    assert "2" == stream.event()[1]


def test_processes_share_events_ids_and_replay(emulate):
    """Whichever process takes a publish or a stream, all see one order and one history."""
    emulator = emulate(processes=3)
    streams = [emulator.stream() for _ in range(12)]
    ids = [emulator.publish(str(number)) for number in range(20)]
    heard = [[stream.event() for _ in range(20)] for stream in streams]
    assert [list(zip(ids, map(str, range(20)), strict=True))] * 12 == heard
    for stream in [emulator.stream(**{"Last-Event-ID": ids[9]}) for _ in range(6)]:
        assert [str(number) for number in range(10, 20)] == [stream.event()[1] for _ in range(10)]
    deliveries = emulator.stats()["deliveries"]
    assert (240, 240, 60) == tuple(deliveries[name] for name in ("owed", "sent", "replayed"))


def test_killed_process_finds_the_history_again(emulator):
    """A process that takes a killed one's place replays what was published before and meanwhile."""
    first = emulator.publish("0")
    emulator.publish("1")
    with selectors.PollSelector() as selector:
        emulator.processes.watch(selector)
        emulator.processes.execute({"kill": 0, "back_after_s": 0.0})
        for key, _ in selector.select(PATIENCE_S):
            key.data()
        emulator.processes.revive(selector)
        assert selector.select(PATIENCE_S), "its successor says that it serves"
    assert "1" == emulator.stream(**{"Last-Event-ID": first}).event()[1]
    assert int(emulator.publish("2")) == int(first) + 2


def test_heartbeat_is_a_comment(emulate):
    """A silent stream gets a comment at every interval."""
    stream = emulate(heartbeat_s=0.1).stream()
    assert [[":"], [":"]] == [stream.block(), stream.block()]


def test_token_is_required_where_there_is_one(emulate):
    """Without it, or with another, streams and publishes are refused with 401, and counted."""
    emulator = emulate(token="secret")
    right = {"Authorization": "Bearer secret"}
    assert 401 == emulator.stream().head.status
    assert 401 == emulator.stream(Authorization="Bearer other").head.status
    assert 401 == emulator.request("POST", "/pub/a", "x")[0]
    stream = emulator.stream(**right)
    emulator.publish("x", **right)
    assert "x" == stream.event()[1]
    stats = emulator.stats()
    assert (2, 1) == (stats["connects"]["refused"]["unauthorized"], stats["connects"]["accepted"])
    assert 1 == stats["publishes"]["refused"]["unauthorized"]


def test_event_that_is_too_large_is_refused(emulate):
    """413, counted, and nobody gets it."""
    emulator = emulate(event_bytes=100)
    assert 413 == emulator.request("POST", "/pub/a", "x" * 101)[0]
    stats = emulator.stats()
    assert (1, 0) == (stats["events"]["failed"]["too_large"], stats["events"]["published"])


def test_tls_serves_the_same(emulate):
    """Over https with the certificate it makes, publishing is answered likewise."""
    emulator = emulate(tls=True)
    context = ssl.create_default_context(cafile=emulator.processes.folder / "ca.pem")
    address = f"https://localhost:{emulator.port}/pub/a"
    with contextlib.closing(
        urllib.request.urlopen(address, b"x", timeout=PATIENCE_S, context=context)
    ) as answer:
        assert {"id": "1"} == json.load(answer)


def test_emulator_leaves_no_process_behind():
    """All processes are gone once it is left, though a client still listens."""
    with ServerSentEventsEmulator.start(Options(processes=2)) as processes:
        pids = processes.pids
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_command_to_try_it_names_the_token_where_there_is_one():
    """The curl command publishes into the first room."""
    address = "http://127.0.0.1:1/pub/{channel}"
    try_it = ServerSentEventsEmulator.try_it
    assert "curl -d hello http://127.0.0.1:1/pub/default/room-0" == try_it(address, "", None)
    assert "-H 'Authorization: Bearer k'" in try_it(address, "k", None)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"scaling": {"servers": 1}}, "must be given with scaling"),
        ({"scaling": {"arrives_after_s": {"minimum": 5.0, "maximum": 4.0}}}, "must not be below"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, rule):
    """The problem names its rule."""
    with pytest.raises(ValidationError, match=rule):
        Options.model_validate(options)
