import time
from types import SimpleNamespace

import pytest

from harness.emulation.quotas import Rate
from harness.emulation.worker import WorkerContext
from tests.support.emulator_process import run, until

LETTERS = [b"%c" % letter for letter in b"abcdefghijklmnopqrstuvwxyz"]


def counted(stand, name):
    return stand.truth()["deliveries"][name]


async def test_given_deliveries_are_dropped_and_no_others(stand):
    """Pairs of event and subscription say which, and the log repeats them with peer and text."""
    first, second, third = stand.join(3)
    stand.tell({"kind": "drop", "deliveries": [[0, 1], [2, 0], [2, 2], [9, 9]]})
    stand.broadcast(b"a", b"b")
    stand.broadcast(b"c")
    assert [b"ab", b"bc", b"ab"] == [first.got, second.got, third.got]
    assert {"fault": 3} == {k: v for k, v in counted(stand, "dropped").items() if v}
    entry = {
        "what": "dropped",
        "event": 0,
        "subscription": 1,
        "connection": 1,
        "peer": "127.0.0.1:1001",
        "text": "a",
        "cause": "fault",
    }
    logged = stand.log("dropped")[0]
    assert abs(time.time_ns() - logged.pop("at_ns")) < 10e9
    assert entry == logged
    pairs = [(entry["event"], entry["subscription"]) for entry in stand.log("dropped")]
    assert [(0, 1), (2, 0), (2, 2)] == pairs


def test_sample_of_exactly_137_deliveries_is_dropped(make_stand, tmp_path):
    """With a count, chance decides which and not how many; the same seed drops the same."""

    async def dropped(folder, seed):
        folder.mkdir()
        stand = make_stand(folder, seed=seed)
        transports = stand.join(100)
        stand.tell({"kind": "drop", "ratio": 0.02, "count": 137})
        stand.broadcast_each(*[b"x"] * 200)
        assert 137 == counted(stand, "dropped")["fault"]
        assert 20_000 - 137 == sum(len(transport.got) for transport in transports)
        return [(entry["event"], entry["subscription"]) for entry in stand.log("dropped")]

    first = run(dropped(tmp_path / "first", 1))
    assert 137 == len(set(first))
    assert first == run(dropped(tmp_path / "again", 1))
    assert first != run(dropped(tmp_path / "other", 2))


async def test_count_holds_over_processes(make_stand):
    """Two processes with uneven traffic drop together what one alone would."""
    stands = [make_stand(index=index, processes=2) for index in (0, 1)]
    stands[0].join(90)
    stands[1].join(10)
    for stand in stands:
        stand.tell({"kind": "drop", "ratio": 0.05, "count": 137})
    for _ in range(100):
        for stand in stands:
            stand.broadcast(b"x")
    assert 137 == counted(stands[0], "dropped")["fault"]
    assert {0, 1} == {entry["connection"] % 2 for entry in stands[0].log("dropped")}


async def test_ratio_of_deliveries_is_dropped_by_chance(stand):
    """One in a hundred of 100,000 is within five standard deviations of 1,000."""
    transports = stand.join(1000)
    stand.tell({"kind": "drop", "ratio": 0.01})
    stand.broadcast_each(*[b"x"] * 100)
    lost = 100_000 - sum(len(transport.got) for transport in transports)
    assert lost == counted(stand, "dropped")["fault"] == len(stand.log("dropped"))
    assert abs(lost - 1000) < 5 * 31.5


async def test_share_confines_a_fault_to_some_connections(stand):
    """Of those that were there and of those that come later, exactly the share gets nothing."""
    before = stand.join(10)
    stand.tell({"kind": "drop", "share": 0.3})
    since = stand.join(10)
    stand.broadcast_each(b"x", b"y")
    assert [3, 3] == [sum(not transport.got for transport in group) for group in (before, since)]
    assert {b"", b"xy"} == {transport.got for transport in before + since}


async def test_duplicate_leaves_right_behind_the_original(stand, transport):
    """The copy is counted apart from what was sent, and metered like it."""
    stand.tell({"kind": "duplicate", "deliveries": [[1, 0]]})
    stand.broadcast(b"a", b"b", b"c", steps=3)
    assert b"abbc" == transport.got
    assert (3, 1, 12) == stand.counted("sent", "duplicated", "steps")
    assert ["b"] == [entry["text"] for entry in stand.log("duplicated")]


@pytest.mark.parametrize(("depth", "expected"), [(1, b"acbdef"), (2, b"acdbef"), (4, b"acdefb")])
async def test_reordered_delivery_is_passed_by_so_many(stand, transport, depth, expected):
    """It leaves right behind the last of those that were to pass it."""
    stand.tell({"kind": "reorder", "depth": depth, "deliveries": [[1, 0]]})
    stand.broadcast_each(*LETTERS[:6])
    assert expected == transport.got
    assert 1 == counted(stand, "reordered")
    assert [("b", depth)] == [(e["text"], e["depth"]) for e in stand.log("reordered")]


async def test_deliveries_that_nothing_passes_leave_in_the_end_and_count_as_in_order(
    make_stand, monkeypatch
):
    """Where traffic ends, a delivery set held is not lost, nor called reordered."""
    monkeypatch.setattr("harness.emulation.deliveries.REORDER_PATIENCE_S", 0.05)
    stand = make_stand()
    one_passes, none_passes = stand.join(2)
    stand.tell({"kind": "reorder", "depth": 2, "deliveries": [[0, 0], [1, 1]]})
    stand.broadcast_each(b"a", b"b")
    assert 2 == counted(stand, "pending")
    await until(lambda: not counted(stand, "pending"))
    assert (b"ba", b"ab") == (one_passes.got, none_passes.got)
    assert 1 == counted(stand, "reordered")
    assert [1] == [entry["depth"] for entry in stand.log("reordered")]


async def test_duplicated_reordered_delivery_is_counted_once_as_each(stand, transport):
    """Both at once: the delivery and its copy leave late together."""
    given = [[0, 0]]
    stand.tell({"kind": "reorder", "deliveries": given}, {"kind": "duplicate", "deliveries": given})
    stand.broadcast_each(b"a", b"b")
    assert b"baa" == transport.got
    assert (2, 1, 1) == stand.counted("sent", "duplicated", "reordered")


async def test_dropped_delivery_uses_up_no_other_fault(stand, transport):
    """Whatever order they are told in, a delivery that is dropped is not also duplicated."""
    stand.tell({"kind": "duplicate", "count": 3}, {"kind": "drop", "deliveries": [[0, 0]]})
    stand.broadcast_each(*LETTERS[:5])
    assert b"bbccdde" == transport.got


async def test_every_delivery_is_late_by_a_fixed_delay(stand):
    """None leaves early, order holds, and what was measured is what was told."""
    transports = stand.join(50)
    stand.tell({"kind": "delay", "delay_ms": 50})
    began_s = time.monotonic()
    stand.broadcast(b"a", b"b")
    stand.broadcast(b"c")
    assert 150 == counted(stand, "pending") == counted(stand, "delayed")["fault"]
    await until(lambda: all(transport.got for transport in transports))
    assert time.monotonic() - began_s >= 0.05
    await until(lambda: not counted(stand, "pending"))
    assert {b"abc"} == {transport.got for transport in transports}
    assert 150 == stand.deliveries.delays.get_total_count()
    assert 50_000 <= stand.deliveries.delays.get_min_value() * 1.001


async def test_delays_of_one_subscription_keep_its_order(stand):
    """Random delays never let a delivery overtake, nor does what is sent after the fault."""
    transports = stand.join(20)
    uniform = {"distribution": "uniform", "minimum": 0, "maximum": 60}
    stand.tell({"kind": "delay", "delay_ms": uniform})
    stand.broadcast_each(*LETTERS[:13])
    stand.tell()
    stand.broadcast_each(*LETTERS[13:])
    await until(lambda: not counted(stand, "pending"))
    assert {b"".join(LETTERS)} == {transport.got for transport in transports}
    assert 20 * 26 == counted(stand, "delayed")["fault"]


async def test_held_deliveries_of_a_connection_that_goes_are_counted_as_lost(stand):
    """Delayed, stalled or set aside: what was owed stays accounted for."""
    leaving, staying = stand.join(2)
    for fault in (
        {"kind": "delay", "delay_ms": 20},
        {"kind": "stall", "until_s": 0.02},
        {"kind": "reorder"},
    ):
        stand.tell(fault)
        stand.broadcast(b"x")
    leaving.closing = True
    stand.deliveries.unsubscribe(stand.subscriptions[0])
    stand.writer.remove(stand.subscriptions[0].connection)
    stand.tell()
    await until(lambda: not counted(stand, "pending"))
    assert (b"", b"xxx") == (leaving.got, staying.got)
    assert 3 == counted(stand, "dropped")["closed"]


async def test_malformed_frame_leaves_before_a_delivery_that_stays_whole(stand, transport):
    """It is counted and logged, and it takes nothing away."""
    stand.tell({"kind": "malformed", "form": "bad_utf8", "deliveries": [[1, 0]]})
    stand.broadcast(b"a", b"b")
    assert b"a\x81\x01\xffb" == transport.got
    assert (2, 1) == stand.counted("sent", "malformed")
    assert ["bad_utf8"] == [entry["form"] for entry in stand.log("malformed")]


@pytest.fixture
def began_s(monkeypatch):
    """Return now, the one time that quotas see: all of a test's broadcasts are in one second."""
    now_s = time.monotonic()
    monkeypatch.setattr("harness.emulation.quotas.time", SimpleNamespace(monotonic=lambda: now_s))
    return now_s


def outbound(folder, limit_per_s):
    return Rate(WorkerContext(folder), "outbound", limit_per_s)


async def test_deliveries_above_the_outbound_quota_are_dropped(make_stand, tmp_path, began_s):
    """In steps of metering: 100 allowed let 33 deliveries of three steps pass."""
    stand = make_stand(outbound=outbound(tmp_path, 100), overflow="drop")
    transports = stand.join(50)
    stand.broadcast(b"x", steps=3)
    assert 33 == sum(len(transport.got) for transport in transports)
    assert 17 == counted(stand, "dropped")["quota"]
    assert {"quota"} == {entry["cause"] for entry in stand.log("dropped")}


async def test_deliveries_above_the_outbound_quota_wait_for_the_next_seconds(
    make_stand, tmp_path, began_s
):
    """Nothing is lost, order holds, and no second carries more than its quota."""
    stand = make_stand(outbound=outbound(tmp_path, 100))
    transports = stand.join(50)
    stand.broadcast_each(*LETTERS[:5])
    assert (100, 150) == (counted(stand, "sent"), counted(stand, "delayed")["quota"])
    await until(lambda: counted(stand, "sent") > 100)
    assert int(began_s) + 1 <= time.monotonic()
    await until(lambda: not counted(stand, "pending"))
    assert int(began_s) + 2 <= time.monotonic()
    assert {b"abcde"} == {transport.got for transport in transports}


async def test_broadcast_that_nothing_touches_is_passed_whole(stand):
    """Faults that are far from their next hit, or over, do not slow a broadcast down."""
    stand.join(1000)
    stand.tell({"kind": "drop", "ratio": 1e-9}, {"kind": "drop", "deliveries": [[7, 0]]})
    assert stand.deliveries.all_pass(range(5), 5000, 5000)
    assert not stand.deliveries.all_pass(range(5, 10), 5000, 5000)
    stand.tell({"kind": "duplicate", "count": 1})
    stand.broadcast_each(b"x", b"y")
    assert stand.deliveries.all_pass(range(10, 11), 1000, 1000)
