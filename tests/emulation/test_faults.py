import socket
import time

from harness.emulation.fault_choices import UNAFFECTED
from harness.emulation.faults import ConnectOutcome
from tests.support.emulator_process import Transport, until

LINGER = (socket.SOL_SOCKET, socket.SO_LINGER)


async def test_fault_lasts_from_its_beginning_to_its_end(stand, transport):
    """Before and after it, nothing happens."""
    stand.tell({"kind": "drop", "from_s": 0.05, "until_s": 0.1})
    stand.broadcast(b"a")
    await until(lambda: stand.faults.may_hit(range(1), 1))
    stand.broadcast(b"b")
    await until(lambda: not stand.faults.may_hit(range(1), 1))
    stand.broadcast(b"c")
    assert b"ac" == transport.got


async def test_new_faults_take_the_place_of_old_ones(stand, transport):
    """Those that go on end, and those still to come never begin."""
    stand.tell({"kind": "drop"}, {"kind": "drop", "from_s": 0.02}, label="one")
    stand.tell({"kind": "duplicate", "from_s": 0.04}, label="two")
    stand.broadcast(b"a")
    await until(lambda: stand.faults.may_hit(range(1), 1))
    stand.broadcast(b"b")
    assert b"abb" == transport.got
    stand.tell(label="three")
    stand.broadcast(b"c")
    assert b"abbc" == transport.got


async def test_stall_holds_deliveries_and_keep_alives_and_releases_them_in_order(stand, transport):
    """Replies still pass; at the end the held leave in one piece."""
    connection = stand.subscriptions[0].connection
    stand.tell({"kind": "stall", "until_s": 0.05})
    stand.broadcast(b"a")
    connection.keep_alive(b"<ka>")
    stand.broadcast(b"b", b"c")
    connection.reply(b"<reply>")
    assert [b"<reply>"] == transport.written
    assert 3 == stand.truth()["deliveries"]["pending"]
    await until(lambda: len(transport.written) > 1)
    stand.broadcast(b"d")
    assert [b"<reply>", b"a<ka>bc", b"d"] == transport.written
    truth = stand.truth()["deliveries"]
    assert (4, 3, 0) == (truth["sent"], truth["delayed"]["stall"], truth["pending"])


async def test_stall_may_hold_replies_too(stand, transport):
    """Then everything a connection is sent comes after it."""
    stand.tell({"kind": "stall", "replies": True})
    stand.subscriptions[0].connection.reply(b"<reply>")
    stand.broadcast(b"a")
    assert [] == transport.written
    stand.tell()
    assert [b"<reply>a"] == transport.written


async def test_overlapping_stalls_hold_until_the_last_ends(stand, transport):
    """A stall within a stall releases nothing."""
    began_s = time.monotonic()
    stand.tell({"kind": "stall", "until_s": 0.02}, {"kind": "stall", "until_s": 0.06})
    stand.broadcast(b"a")
    await until(lambda: transport.got)
    assert time.monotonic() - began_s >= 0.06


async def test_share_of_the_connections_stalls_and_is_named(stand):
    """Those that come during the stall are stalled in the same share; all are in the log."""
    before = stand.join(10)
    stand.tell({"kind": "stall", "share": 0.4})
    since = stand.join(10)
    stand.broadcast(b"a")
    assert [4, 4] == [sum(not one.got for one in group) for group in (before, since)]
    silent = [f"127.0.0.1:{one.port}" for one in before + since if not one.got]
    assert silent == [peer for entry in stand.log("stalled") for peer in entry["peers"]]
    stand.tell()
    assert {b"a"} == {one.got for one in before + since}
    assert [silent] == [entry["peers"] for entry in stand.log("released")]


async def test_share_of_the_connections_is_reset(stand):
    """Without a close frame, and with the option that makes the kernel send a reset."""
    transports = stand.join(10)
    stand.tell({"kind": "disconnect", "share": 0.3})
    cut = [one for one in transports if one.closing]
    assert 3 == len(cut) == stand.truth()["disconnects"]["fault"]
    assert {"aborted"} == {one.ended for one in cut}
    assert {LINGER} == {option[:2] for one in cut for option in one.socket.options}
    assert {b""} == {one.got for one in cut}
    peers = [f"127.0.0.1:{one.port}" for one in cut]
    assert [peers] == [entry["peers"] for entry in stand.log("disconnected")]


async def test_connections_are_closed_with_a_code(stand, transport):
    """A close frame with the code comes first."""
    stand.tell({"kind": "disconnect", "code": 1011})
    assert (b"\x88\x02\x03\xf3", "closed") == (transport.got, transport.ended)


async def test_connections_are_cut_once_at_their_time(stand):
    """Whoever comes later stays, and whoever has left by itself does not matter."""
    first, gone = stand.join(2)
    stand.tell({"kind": "disconnect", "from_s": 0.03})
    gone.closing = True
    assert not first.closing
    await until(lambda: first.closing)
    (later,) = stand.join()
    assert (False, "") == (later.closing, gone.ended)
    assert 1 == stand.truth()["disconnects"]["fault"]


async def test_connects_are_refused_throttled_and_slowed(stand):
    """Several faults add up, and each outcome is counted."""
    assert ConnectOutcome() == stand.faults.on_connect()
    stand.tell({"kind": "slow_accept", "delay_ms": 30}, {"kind": "throttle_connects"})
    assert ConnectOutcome(delay_s=0.03, throttled=True) == stand.faults.on_connect()
    stand.tell({"kind": "refuse_connects", "status": 503})
    assert ConnectOutcome(refused=True, status=503) == stand.faults.on_connect()
    stand.tell({"kind": "refuse_connects", "ratio": 0.5})
    outcomes = [stand.faults.on_connect() for _ in range(1000)]
    refused = outcomes.count(ConnectOutcome(refused=True))
    assert 400 < refused < 600
    assert 1000 == refused + outcomes.count(ConnectOutcome())
    truth = stand.truth()["connects"]
    counted = truth["slowed"], truth["throttled"]["fault"], truth["refused"]["fault"]
    assert (1, 1, refused + 1) == counted


async def test_publishes_are_throttled_in_their_ratio(stand):
    """And counted."""
    assert not stand.faults.on_publish()
    stand.tell({"kind": "throttle_publishes", "ratio": 0.5})
    throttled = sum(stand.faults.on_publish() for _ in range(1000))
    assert 400 < throttled < 600
    assert throttled == stand.truth()["publishes"]["throttled"]["fault"]


async def test_credentials_expire_and_hold_again(stand):
    """While the fault lasts every check fails."""
    assert not stand.faults.on_credentials()
    stand.tell({"kind": "expire_credentials", "until_s": 0.03})
    assert stand.faults.on_credentials()
    await until(lambda: not stand.faults.on_credentials())
    assert stand.truth()["credentials"]["expired"] >= 1


async def test_delivery_that_no_fault_hits_is_untouched(stand):
    """It is the same object, so that finding out costs nothing."""
    stand.join()
    stand.tell({"kind": "drop", "deliveries": [[5, 5]]})
    assert UNAFFECTED is stand.faults.on_delivery(0, 0, stand.subscriptions[0].connection)


async def test_slow_subscriber_is_cut_off_on_every_way_out(stand):
    """Past its limit a connection gets no reply, keep-alive or delivery, and its end is counted."""
    connections = [stand.writer.add(Transport(unsent_bytes=1001)) for _ in range(2)]
    connections[0].reply(b"<reply>")
    connections[1].keep_alive(b"<ka>")
    (slow,) = stand.join()
    (full,) = stand.join()
    slow.unsent_bytes, full.unsent_bytes = 1001, 1000
    stand.tell({"kind": "drop", "deliveries": [[0, 9]]})
    stand.broadcast(b"a")
    assert ["aborted"] * 3 == [one.transport.ended for one in connections] + [slow.ended]
    truth = stand.truth()
    assert 3 == truth["disconnects"]["slow_subscriber"]
    assert 1 == truth["deliveries"]["dropped"]["slow_subscriber"]
    assert (b"a", b"") == (full.got, slow.got)
