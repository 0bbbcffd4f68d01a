"""Prices with tiers, bills with switches and days of use, against worked numbers."""

import pytest

from harness.core.pricing import Day, Events, Line, Price, Switch, Usage, total_usd

FLAT = Price("operations", 1.0, 1e6, "operations", "a list")
TIERED = Price("messages", 1.0, 1e6, "messages", "a list", tiers=((1e9, 0.8),))


def test_a_flat_price_is_proportional_however_often_it_is_paid():
    """750 million operations are $750, once or every day."""
    assert [750.0, 750.0] == [FLAT.cost_usd(750e6), FLAT.cost_usd(750e6, times_a_month=30)]


def test_tiers_are_filled_by_the_whole_month():
    """Thirty days of 750 million: $1,000 for the first billion, then $0.80 for each million."""
    assert (1000 + 21_500 * 0.8) / 30 == pytest.approx(TIERED.cost_usd(750e6, times_a_month=30))
    assert 750 == pytest.approx(TIERED.cost_usd(750e6))


def test_a_price_is_written_with_its_steps():
    """A reader sees what changes at which volume."""
    assert "$1 per 1,000,000 messages, $0.8 from 1,000,000,000 a month" == str(TIERED)


@pytest.mark.parametrize(
    ("is_on", "flipped", "usd"),
    [(True, [], 3), (True, ["s"], 1), (False, [], 1), (False, ["s"], 3)],
)
def test_a_line_behind_a_switch_counts_when_it_is_on(is_on, flipped, usd):
    """Flipping a switch gives the other of the two values."""
    lines = (
        Line("always", "", 1, FLAT, 1.0),
        Line("perhaps", "", 1, FLAT, 2.0, Switch("s", "Is it?", is_on)),
    )
    assert usd == total_usd(lines, flipped)


@pytest.mark.parametrize(("size", "steps"), [(0, 1), (1, 1), (5120, 1), (5121, 2), (12 * 1024, 3)])
def test_events_are_metered_in_begun_steps(size, steps):
    """An event of 12 KB counts three times."""
    usage = Usage(hours=1, events=(Events(size, 1, 10),))
    assert (steps, 10 * steps) == (usage.published_steps(5120), usage.delivered_steps(5120))


def test_a_day_multiplies_messages_and_users():
    """The reference day: 750 million deliveries, 43.2 million connection minutes."""
    usage = Day().usage()
    assert (25_000, 750e6, 43.2e6) == (usage.published, usage.delivered, usage.connection_minutes)
    assert 357.6 == pytest.approx(usage.delivered_gb, abs=0.05)


def test_an_idle_day_uses_nothing_but_keeps_its_servers():
    """Scale to zero is the difference between what is used and what stands ready."""
    usage = Day().idle().usage()
    assert (0, 0, 0, 0) == (usage.delivered, usage.connects, usage.polls, usage.connection_minutes)
    assert 30_000 == usage.provisioned
