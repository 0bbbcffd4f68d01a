"""Faults and quotas on a running emulator, seen from its clients and compared with its counts."""

import collections
import contextlib
import itertools
import json
import os
import signal
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import body, error_types, post, request
from tests.support.waiting import PATIENCE_S, wait_for


@pytest.fixture(scope="module")
def pair(options):
    """An emulator of two processes without quotas."""
    with start_with(options, processes=2, quotas={"enabled": False}) as emulator:
        yield emulator


@pytest.fixture
def emulator(pair):
    """The same, with its counts at zero, nothing going wrong and nobody left from other tests."""
    tell(pair)
    wait_for(lambda: not get(pair, "stats")["connections"])
    control(pair, "reset")
    return pair


def start_with(options, **more):
    return AppSyncEventsEmulator.start(Options.model_validate(options | more))


def get(emulator, name):
    return request(emulator, "GET", f"/_emulator/{name}").body


def control(emulator, name, text=b""):
    """POST to a path of the emulator's own; return the JSON of the answer."""
    answer = request(emulator, "POST", f"/_emulator/{name}", text)
    assert 200 == answer.status
    return answer.body


def publish(emulator, *events):
    """Publish over HTTP, which no quota of a connection limits."""
    return post(emulator, body("/default/a", *events))


def tell(emulator, *faults):
    """Play these faults from now on, in all processes."""
    taken = control(emulator, "faults", json.dumps(faults))["processes"]["answered"]
    assert [*range(len(emulator.pids))] == taken


def subscribers(connect, emulator, count):
    """Connect clients that subscribe, by address."""
    peers = [connect(emulator, ping_interval=None) for _ in range(count)]
    for peer in peers:
        assert "subscribe_success" == peer.subscribe("1", "/default/a")["type"]
    return {address_of(peer): peer for peer in peers}


def address_of(peer):
    host, port = peer.socket.local_address[:2]
    return f"{host}:{port}"


def hear_until(peer, last):
    """Return the events that a peer hears, up to the one named."""
    heard = []
    while last not in heard[-1:]:
        heard.append(json.loads(peer.hear()["event"]))
    return heard


def accounted_for(stats):
    """Tell whether no delivery is missing from the counts."""
    deliveries = stats["deliveries"]
    known = deliveries["sent"] + deliveries["pending"] + sum(deliveries["dropped"].values())
    return deliveries["owed"] == known


def test_137_dropped_deliveries_are_missed_by_the_connections_the_log_names(connect, emulator):
    """Over two processes, exactly so many; each client misses what the log says it must."""
    peers = subscribers(connect, emulator, 20)
    tell(emulator, {"kind": "drop", "ratio": 0.2, "count": 137})
    for number in range(0, 100, 5):
        assert 200 == publish(emulator, *range(number, number + 5))[0]
    tell(emulator)
    publish(emulator, "last")
    missed = {
        (address, str(event))
        for address, peer in peers.items()
        for event in set(range(100)) - set(hear_until(peer, "last"))
    }
    assert 137 == len(missed)
    assert missed == {(entry["peer"], entry["text"]) for entry in get(emulator, "log")}
    stats = get(emulator, "stats")
    assert 137 == stats["deliveries"]["dropped"]["fault"] == stats["fault_log"]["entries"]
    assert (20 * 101, 20 * 101 - 137) == (stats["deliveries"]["owed"], stats["deliveries"]["sent"])


def test_duplicates_and_reordering_reach_the_clients_as_counted(connect, emulator):
    """Both at once on every subscriber: each client's own count adds up to the emulator's."""
    peers = subscribers(connect, emulator, 10)
    # One connection, because only what comes by the same one is in a certain order.
    publisher = connect(emulator)
    duplicate = {"kind": "duplicate", "ratio": 0.1}
    tell(emulator, duplicate, {"kind": "reorder", "ratio": 0.1, "depth": 3})
    for number in range(0, 200, 5):
        publisher.publish("/default/a", *range(number, number + 5))
    tell(emulator)
    for number in range(200, 210):
        publisher.publish("/default/a", number)
    duplicated = reordered = 0
    for peer in peers.values():
        first_time = list(dict.fromkeys(heard := hear_until(peer, 209)))
        assert set(range(210)) == set(first_time)
        duplicated += len(heard) - len(first_time)
        highest = itertools.accumulate(first_time, max)
        reordered += sum(event < high for event, high in zip(first_time, highest, strict=True))
    deliveries = get(emulator, "stats")["deliveries"]
    assert (duplicated, reordered) == (deliveries["duplicated"], deliveries["reordered"])
    assert duplicated > 100 < reordered


def test_delayed_deliveries_arrive_as_late_as_the_stats_say(connect, emulator):
    """Every one of them at least by what was told; the median is what the client measures."""
    (peer,) = subscribers(connect, emulator, 1).values()
    tell(emulator, {"kind": "delay", "delay_ms": 150})
    for number in range(5):
        began_s = time.monotonic()
        publish(emulator, number)
        assert str(number) == peer.hear()["event"]
        assert time.monotonic() - began_s >= 0.15
    delays_ms = get(emulator, "stats")["delays_ms"]
    assert 5 == delays_ms["count"]
    assert 150 <= delays_ms["p50"] * 1.001


def test_stall_holds_a_share_of_the_connections(connect, emulator):
    """They get everything at its end and in order, the others at once."""
    peers = subscribers(connect, emulator, 10)
    tell(emulator, {"kind": "stall", "share": 0.5})
    publish(emulator, *range(5))
    stalled = {peer for entry in get(emulator, "log") for peer in entry["peers"]}
    assert 4 <= len(stalled) <= 6
    for address in peers.keys() - stalled:
        assert [0, 1, 2, 3, 4] == hear_until(peers[address], 4)
    for address in stalled:
        peers[address].hear_nothing_more()
    assert 5 * len(stalled) == get(emulator, "stats")["deliveries"]["pending"]
    tell(emulator)
    for address in stalled:
        assert [0, 1, 2, 3, 4] == hear_until(peers[address], 4)


@pytest.mark.parametrize(("code", "expected"), [(1006, None), (1001, 1001), (1011, 1011)])
def test_share_of_the_connections_is_cut(connect, emulator, code, expected):
    """Exact to one connection a process; the clients see a reset or the code."""
    peers = subscribers(connect, emulator, 20)
    tell(emulator, {"kind": "disconnect", "share": 0.3, "code": code})
    cut = {peer for entry in get(emulator, "log") for peer in entry["peers"]}
    assert 5 <= len(cut) <= 7
    for address in cut:
        assert expected == peers[address].close_code()
    publish(emulator, "last")
    for address in peers.keys() - cut:
        assert ["last"] == hear_until(peers[address], "last")
    stats = get(emulator, "stats")
    assert len(cut) == stats["disconnects"]["fault"] == 20 - stats["deliveries"]["sent"]


def test_connection_over_tls_is_reset_like_any_other(connect, options):
    """Without a close frame; the log knows the client's address all the same."""
    with start_with(options, tls=True) as secure:
        peer = connect(secure)
        address = address_of(peer)
        tell(secure, {"kind": "disconnect"})
        assert peer.close_code() is None
        (log,) = (secure.folder / "faults-0.jsonl").read_text("utf-8").splitlines()
        assert [address] == json.loads(log)["peers"]


def test_connects_are_refused_with_a_status_or_a_reset(connect, emulator):
    """Before the handshake is over, and counted."""
    tell(emulator, {"kind": "refuse_connects", "status": 503})
    with pytest.raises(InvalidStatus) as refused:
        connect(emulator)
    assert 503 == refused.value.response.status_code
    tell(emulator, {"kind": "refuse_connects"})
    with pytest.raises((ConnectionError, InvalidMessage)):
        connect(emulator)
    assert 2 == get(emulator, "stats")["connects"]["refused"]["fault"]


def test_connects_are_throttled_and_slowed(connect, emulator):
    """The answer is late, and names the limit."""
    tell(emulator, {"kind": "throttle_connects"}, {"kind": "slow_accept", "delay_ms": 100})
    began_s = time.monotonic()
    answer = connect(emulator).ask(type="connection_init")
    assert time.monotonic() - began_s >= 0.1
    assert "connection_error" == answer["type"]
    assert ["LimitExceededError"] == error_types(answer)
    connects = get(emulator, "stats")["connects"]
    assert (1, 1) == (connects["throttled"]["fault"], connects["slowed"])


def test_publishes_are_throttled_over_both_transports(connect, emulator):
    """publish_error and HTTP 429 with the service's own word for it."""
    peer = connect(emulator)
    tell(emulator, {"kind": "throttle_publishes"})
    answer = peer.publish("/default/a", 1)
    assert "publish_error" == answer["type"]
    over_http = publish(emulator, 1)
    assert 429 == over_http.status
    assert ["LimitExceededError"] * 2 == error_types(answer) + error_types(over_http.body)
    assert 2 == get(emulator, "stats")["publishes"]["throttled"]["fault"]


def test_expired_credentials_are_refused_everywhere_and_the_connection_stays(connect, emulator):
    """At connect, subscribe and publish; when they hold again, the same connection works."""
    peer = connect(emulator)
    tell(emulator, {"kind": "expire_credentials"})
    refused = [
        connect(emulator).ask(type="connection_init"),
        peer.subscribe("1", "/default/a"),
        peer.publish("/default/a", 1),
    ]
    assert ["connection_error", "subscribe_error", "publish_error"] == [
        answer["type"] for answer in refused
    ]
    assert [["UnauthorizedException"]] * 3 == [error_types(answer) for answer in refused]
    assert 401 == publish(emulator, 1)[0]
    assert 4 == get(emulator, "stats")["credentials"]["expired"]
    tell(emulator)
    assert "subscribe_success" == peer.subscribe("1", "/default/a")["type"]


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("not_json", '{"type":"data"'),
        ("not_a_message", "[]"),
        ("unknown_type", '{"type":"no such type"}'),
        ("binary", b'{"type":"data"}'),
    ],
)
def test_malformed_message_comes_before_the_delivery(connect, emulator, form, first):
    """What is wrong only for the protocol above leaves the connection and the delivery whole."""
    (peer,) = subscribers(connect, emulator, 1).values()
    tell(emulator, {"kind": "malformed", "form": form, "count": 1})
    publish(emulator, "whole")
    assert first == peer.socket.recv(timeout=PATIENCE_S)
    assert ["whole"] == hear_until(peer, "whole")
    assert 1 == get(emulator, "stats")["deliveries"]["malformed"]


@pytest.mark.parametrize(("form", "code"), [("bad_utf8", 1007), ("reserved_bits", 1002)])
def test_malformed_frame_makes_a_client_fail_the_connection(connect, emulator, form, code):
    """With the code that RFC 6455 asks of it: invalid data, or a protocol error."""
    (peer,) = subscribers(connect, emulator, 1).values()
    tell(emulator, {"kind": "malformed", "form": form, "count": 1})
    publish(emulator, "lost")
    with pytest.raises(ConnectionClosed) as closed:
        peer.hear()
    assert code == closed.value.sent.code


def test_faults_of_the_options_count_from_the_start(connect, options):
    """They need nobody to tell them, and a posted list takes their place."""
    faults = [{"kind": "drop", "deliveries": [[0, 0]]}, {"kind": "duplicate"}]
    with start_with(options, faults=faults) as emulator:
        (peer,) = subscribers(connect, emulator, 1).values()
        publish(emulator, "dropped", "doubled")
        assert ["doubled", "doubled"] == [json.loads(peer.hear()["event"]) for _ in range(2)]
        tell(emulator)
        publish(emulator, "single", "last")
        assert ["single", "last"] == hear_until(peer, "last")


def test_inbound_quota_is_shared_by_transports_and_processes(connect, options):
    """Of a burst within one second no more passes than the limit, and all is counted."""
    limits = {"inbound_events_per_s": 20, "publishes_per_s_per_connection": 1000}
    with start_with(options, processes=2, quotas=limits) as emulator:
        peer = connect(emulator)

        def burst_within_a_second():
            """Return how many of twenty passed; None if the machine took a second for them."""
            control(emulator, "reset")
            wait_for(lambda: time.monotonic() % 1 < 0.1)
            second, outcomes = int(time.monotonic()), collections.Counter()
            for _ in range(10):
                outcomes[peer.publish("/default/a", 1, 2)["type"]] += 1
                outcomes[publish(emulator, 1, 2)[0]] += 1
            passed = outcomes["publish_success"] + outcomes[200]
            publishes = get(emulator, "stats")["publishes"]
            assert (passed, 20 - passed) == (publishes["accepted"], publishes["throttled"]["quota"])
            return passed if int(time.monotonic()) == second else None

        assert 10 == wait_for(burst_within_a_second)


def test_killed_process_takes_its_connections_and_leaves_its_counts(connect, options):
    """The others go on, and what it had counted stays in the sums."""
    with contextlib.ExitStack() as stack:
        emulator = stack.enter_context(start_with(options, processes=2))
        peers = subscribers(connect, emulator, 20)
        publish(emulator, "before")
        before = get(emulator, "stats")
        assert (20, 20) == (before["deliveries"]["sent"], before["connections"])
        os.kill(emulator.pids[1], signal.SIGKILL)
        lost = 0
        for peer in peers.values():
            assert ["before"] == hear_until(peer, "before")
            with contextlib.suppress(ConnectionClosed):
                peer.publish("/default/b", 1)
                continue
            lost += 1
        wait_for(lambda: get(emulator, "stats")["connections"] == 20 - lost)
        assert {"answered": [0], "silent": [1]} == get(emulator, "stats")["processes"]
        publish(emulator, "after")
        assert 20 + 20 - lost == get(emulator, "stats")["deliveries"]["sent"]
        assert accounted_for(get(emulator, "stats"))
