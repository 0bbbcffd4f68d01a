import pytest

from harness.core.channels import own_name
from harness.live.ledger import SETTLE_AFTER_S, LiveLedger
from tests.live.conftest import arrivals, at_ns, publish, report

ROOM = "/default/room-0"


def ledger_of(*reports, settled=True):
    ledger = LiveLedger()
    for one in reports:
        ledger.add(one["second"], one)
    if settled:
        ledger.settle(float("inf"))
    return ledger


def totals(ledger, phase="measure"):
    counts = ledger.totals[phase]
    return counts["owed"], counts["delivered"], ledger.lost(phase)


WINDOWS = {ROOM: ([at_ns(1), at_ns(5), at_ns(3)], [at_ns(8)])}


@pytest.mark.parametrize(
    ("second", "subscribers"), [(0.5, 0), (1, 1), (2.9, 1), (3, 2), (5, 3), (7.9, 3), (8, 2)]
)
def test_subscriptions_are_owed_from_confirmation_until_they_end(second, subscribers):
    """The first instant belongs to the subscription, the last does not."""
    assert subscribers == ledger_of(report(windows=WINDOWS)).open_at(ROOM, at_ns(second))


def test_other_channels_are_owed_nothing():
    """A message is owed on its own channel only."""
    assert 0 == ledger_of(report(windows=WINDOWS)).open_at("/default/room-1", at_ns(6))


def test_message_is_owed_to_all_who_were_subscribed_and_the_rest_is_lost():
    """Three were subscribed, two got it."""
    ledger = ledger_of(
        report(windows=WINDOWS, publishes=[publish(0, 6)]), report(6, arrivals=[arrivals(0, 2)])
    )
    assert (3, 2, 1) == totals(ledger)


@pytest.mark.parametrize(("second", "chatter", "owed"), [(6, 4, 2), (6, 5, 3), (8, 4, 2)])
def test_message_that_is_not_owed_to_its_sender_is_owed_to_the_others(second, chatter, owed):
    """Chatter 4 was one of those subscribed, until second 8."""
    windows = WINDOWS | {own_name(ROOM, 4): ([at_ns(3)], [at_ns(8)])}
    sent = publish(0, second, chatter=chatter)
    assert (owed, 0, owed) == totals(ledger_of(report(windows=windows, publishes=[sent])))


def test_message_is_not_settled_before_it_has_had_time_to_arrive():
    """What is under way is neither owed nor lost yet."""
    ledger = ledger_of(report(windows=WINDOWS, publishes=[publish(0, 6)]), settled=False)
    ledger.settle(0)
    assert (0, 0, 0) == totals(ledger)
    ledger.settle(1)
    assert (3, 0, 3) == totals(ledger)
    assert SETTLE_AFTER_S > 5


def test_arrivals_told_before_and_after_settling_add_up():
    """Each worker has its own row, and a straggler takes itself off the losses."""
    ledger = ledger_of(
        report(windows=WINDOWS, arrivals=[arrivals(0, 1)]),
        report(publishes=[publish(0, 6)], arrivals=[arrivals(0, 1, reordered=1)]),
    )
    assert (3, 2, 1) == totals(ledger)
    ledger.add(20, report(20, arrivals=[arrivals(0, 1, duplicated=2)]))
    assert (3, 3, 0) == totals(ledger)
    assert (2, 1) == (ledger.totals["measure"]["duplicated"], ledger.totals["measure"]["reordered"])


@pytest.mark.parametrize(
    ("outcome", "seen", "expected"),
    [
        ("unanswered", 0, (0, 0, 0)),
        ("unanswered", 2, (3, 2, 1)),
        ("refused", 0, (0, 0, 0)),
        ("acknowledged", 0, (3, 0, 3)),
        ("not_sent", 0, (0, 0, 0)),
    ],
)
def test_message_is_owed_only_if_the_system_took_it(outcome, seen, expected):
    """It was acknowledged, or somebody got it."""
    rows = [arrivals(0, seen)] if seen else []
    message = publish(0, 6, outcome=outcome)
    ledger = ledger_of(report(windows=WINDOWS, publishes=[message], arrivals=rows))
    assert expected == totals(ledger)


def test_phases_are_counted_apart():
    """A message of the warm-up is no loss of the measuring."""
    ledger = ledger_of(report(windows=WINDOWS, publishes=[publish(0, 6, phase="warm_up")]))
    assert (0, 0, 0) == totals(ledger)
    assert (3, 0, 3) == totals(ledger, "warm_up")
