from collections import Counter

import numpy as np
import pytest

from harness.load.worker.population import Subscriptions
from tests.support.plans import make_plan, revised

USERS = 20_000


def subscriptions(user_class="subscriber", users=USERS, seed=7, **channels):
    """Draw for a plan with these channels: three of skew 1, unless told otherwise."""
    return Subscriptions(revised(make_plan(), channels=channels, seed=seed), user_class, users)


def shares(drawn, count=USERS):
    """Return the share of the users that hold each path."""
    held = Counter(path for number in range(count) for path in drawn.of(number))
    return {path: number / count for path, number in held.items()}


def test_one_channel_is_drawn_by_its_weight():
    """With skew 1 and three channels the shares are 6/11, 3/11 and 2/11."""
    expected = {"/default/room-0": 6 / 11, "/default/room-1": 3 / 11, "/default/room-2": 2 / 11}
    assert shares(subscriptions()) == pytest.approx(expected, abs=0.01)


def test_two_of_three_channels_are_drawn_one_after_the_other():
    """Worked by hand: the last channel is left out with 6/11 x 3/5 + 3/11 x 6/8, and so on."""
    left_out = {
        "/default/room-0": 3 / 11 * 2 / 8 + 2 / 11 * 3 / 9,
        "/default/room-1": 6 / 11 * 2 / 5 + 2 / 11 * 6 / 9,
        "/default/room-2": 6 / 11 * 3 / 5 + 3 / 11 * 6 / 8,
    }
    expected = {path: 1 - share for path, share in left_out.items()}
    assert shares(subscriptions(subscriptions_per_client=2)) == pytest.approx(expected, abs=0.01)


def test_channels_of_one_user_are_all_different():
    """However popular one of them is."""
    drawn = subscriptions(users=40, count=30, zipf_skew=5.0, subscriptions_per_client=20)
    assert {20} == {len(set(drawn.of(number))) for number in range(40)}


def test_same_seed_gives_the_same_channels_and_another_seed_others():
    """A run can be repeated, and each worker finds the same for itself."""
    first, again = (subscriptions(subscriptions_per_client=2) for _ in range(2))
    other = subscriptions(subscriptions_per_client=2, seed=8)
    assert first.channels.tolist() == again.channels.tolist()
    assert first.channels.tolist() != other.channels.tolist()


def test_memory_bound_changes_nothing_that_is_drawn(monkeypatch):
    """Drawn in small parts or at once, the users hold the same."""
    at_once = subscriptions(users=100, subscriptions_per_client=2).channels
    monkeypatch.setattr("harness.load.worker.population._DRAWN_AT_ONCE", 21)
    assert (
        at_once.tolist() == subscriptions(users=100, subscriptions_per_client=2).channels.tolist()
    )


def test_share_of_wildcards_is_exact_and_they_hold_nothing_else():
    """A twentieth of the users has one subscription to everything."""
    drawn = subscriptions(users=1000, subscriptions_per_client=2, wildcard_share=0.05)
    assert 50 == len([number for number in range(1000) if drawn.of(number) == ("/default/*",)])
    assert 950 == sum(len(drawn.of(number)) == 2 for number in range(1000))


def test_wildcards_leave_the_channels_of_the_others_as_they_were():
    """More wildcards change no other user's channels."""
    without, some = subscriptions(), subscriptions(wildcard_share=0.5)
    others = np.flatnonzero(~some.holds_all).tolist()
    assert [without.of(number) for number in others] == [some.of(number) for number in others]


@pytest.mark.parametrize("each", [1, 2, 3])
def test_reach_is_the_share_of_listeners_that_the_drawn_channels_give_a_message(each):
    """What prices and machines are reckoned by is what is drawn, to a hundredth."""
    drawn = subscriptions(subscriptions_per_client=each, wildcard_share=0.1)
    channels = drawn._plan.workload.channels
    held = shares(drawn)
    reached = (
        weight * (held.get(f"/default/room-{place}", 0.0) + held["/default/*"])
        for place, weight in enumerate(channels.weights)
    )
    assert channels.reach == pytest.approx(sum(reached), abs=0.01)
