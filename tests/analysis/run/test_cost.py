import orjson
import pytest

from harness.analysis.run.cost import cost_of, day_like, run_cost
from harness.analysis.run.finalize import analyse
from harness.analysis.run.record import read_record
from tests.support.records import (
    arrival,
    connection,
    publish,
    run_file,
    second,
    three_subscribers,
    write_record,
)


def one_message(folder, **changes):
    """Write a run of one message that reaches both of two users."""
    tables = {
        "timeline": [second(4, joins_succeeded=2, connected=2)],
        "publishes": [publish(0, 5.0)],
        "arrivals": [arrival(0, 2, 5.01, 5.02)],
        "connections": [connection(user, 1.0, delivered=1, last_s=5.02) for user in (0, 1)],
    }
    return write_record(folder, **tables | changes)


def test_a_run_made_by_hand_has_its_known_operations(tmp_path):
    """Two messages, four deliveries, three joins of 11, 11 and 6 seconds and 20 ms each."""
    cost = cost_of(read_record(three_subscribers(tmp_path / "run")))
    known = {"inbound": 2, "outbound": 4, "connects": 3, "subscribes": 3, "handlers": 0}
    assert known == {name: cost["operations"][name] for name in known}
    assert 28.06 / 60 == pytest.approx(cost["operations"]["connection_minutes"], abs=0.001)
    assert 12e-6 == pytest.approx(cost["usd_run"], abs=1e-6)


def test_every_begun_5_kb_of_an_event_is_an_operation(tmp_path):
    """One event of 12 KB to two subscribers: three operations in, six out."""
    folder = one_message(tmp_path / "run", publishes=[publish(0, 5.0, bytes=12 * 1024)])
    operations = cost_of(read_record(folder))["operations"]
    assert (3, 6) == (operations["inbound"], operations["outbound"])


def test_a_run_scales_to_a_day_at_the_reference_load(tmp_path):
    """All of the deliveries cost $750; joins, minutes and 300 B events come on top."""
    record = read_record(one_message(tmp_path / "run"))
    day = day_like(record)
    assert (30_000, 25_000, 1.0, ((300.0, 1.0),)) == (
        day.connected, day.messages, day.reach, day.sizes
    )  # fmt: skip
    egress = 750e6 * 300 / 1024**3 * 0.09
    expected = 750 + 0.025 + 0.18 + 3.456 + egress
    assert expected == pytest.approx(cost_of(record)["usd_day_at_reference"], abs=0.006)


def test_messages_that_reach_half_of_the_users_cost_half(tmp_path):
    """Rooms divide the fan-out; the day at the reference keeps that."""
    folder = one_message(
        tmp_path / "run",
        arrivals=[arrival(0, 1, 5.01, 5.01)],
        connections=[
            connection(0, 1.0, delivered=1, last_s=5.01),
            connection(1, 1.0, channel="/default/room-1"),
        ],
    )
    assert 0.5 == day_like(read_record(folder)).reach


def test_the_emulators_bill_is_the_truth_where_there_is_one(tmp_path):
    """What only the system can know, such as handler calls, is taken from it."""
    folder = three_subscribers(tmp_path / "run")
    billed = {"handlers": 7, "connects": 4, "connection_minutes": 1.5, "operations": 20}
    (folder / "emulator.json").write_bytes(orjson.dumps({"stats": {"billed": billed}}))
    cost = run_cost(read_record(folder))
    assert (7, 4) == (cost.operations["handlers"], cost.operations["connects"])
    assert billed == cost.billed


def test_a_cost_that_is_not_known_is_null(tmp_path):
    """No price list, or connections that were never recorded: none, never 0."""
    target = {"name": "t", "system": "toy", "emulated": True}
    unpriced = three_subscribers(tmp_path / "a", run=run_file(plan={"target": target}))
    killed = three_subscribers(tmp_path / "b", connections=[])
    for folder in (unpriced, killed):
        cost = analyse(folder).summary["cost"]
        assert (None, None) == (cost["usd_run"], cost["usd_day_at_reference"])
