from typing import Any

import pytest

from harness.load.worker.publisher import MAX_BACK_OFF_S, BackOff, _by_outcome
from harness.net.client import PublishAnswer

EACH = {"acknowledged": "abc", "throttled": "d", "unanswered": "e"}


@pytest.fixture(autouse=True)
def _longest(monkeypatch):
    """Every random time is the longest it can be."""
    monkeypatch.setattr("random.uniform", lambda _, most: most)


def test_throttled_chatter_pauses_twice_as_long_each_time_up_to_a_limit():
    """Doubling from the base; others go on."""
    back_off, now_s, silences_s = BackOff(1.0), 100.0, []
    for _ in range(7):
        back_off.answered(3, now_s, throttled=True)
        silences_s.append(back_off._pauses[3][0] - now_s)
    assert [1.0, 2.0, 4.0, 8.0, 16.0, MAX_BACK_OFF_S, MAX_BACK_OFF_S] == silences_s
    assert (True, False, False) == (
        back_off.is_paused(3, now_s + 29.9),
        back_off.is_paused(3, now_s + 30.0),
        back_off.is_paused(4, now_s),
    )


def test_accepted_publish_ends_the_row():
    """The next silence is a first one again."""
    back_off = BackOff(1.0)
    back_off.answered(3, 0.0, throttled=True)
    back_off.answered(3, 0.0, throttled=True)
    back_off.answered(3, 0.0, throttled=False)
    back_off.answered(3, 0.0, throttled=True)
    assert (True, False) == (back_off.is_paused(3, 0.9), back_off.is_paused(3, 1.0))


def test_pause_begins_after_the_wait_that_the_system_asks_for():
    """Also where the refusal was no throttle; the next one is twice as long."""
    back_off = BackOff(1.0)
    back_off.answered(3, 0.0, throttled=False, asked_wait_s=7.0)
    assert (True, False) == (back_off.is_paused(3, 7.9), back_off.is_paused(3, 8.0))
    back_off.answered(3, 0.0, throttled=True, asked_wait_s=7.0)
    assert (True, False) == (back_off.is_paused(3, 8.9), back_off.is_paused(3, 9.0))


def test_no_chatter_pauses_when_back_off_is_disabled():
    """A base of 0."""
    back_off = BackOff(0.0)
    back_off.answered(3, 1.0, throttled=True, asked_wait_s=7.0)
    assert not back_off.is_paused(3, 1.0)


@pytest.mark.parametrize(
    ("accepted", "throttled", "outcomes", "expected"),
    [
        (True, False, {}, {"acknowledged": "abcde"}),
        (False, False, {}, {"refused": "abcde"}),
        (False, True, {}, {"throttled": "abcde"}),
        (False, True, {3: "throttled", 4: "unanswered"}, EACH),
        (False, False, {1: "refused", 5: "refused"}, {"refused": "abcde"}),
        (False, False, {-1: "refused"}, {"refused": "abcde"}),
    ],
    ids=["accepted", "refused", "throttled", "each its own", "counted from 1", "negative"],
)
def test_batch_is_parted_event_by_event(accepted, throttled, outcomes, expected):
    """An answer that names no places, or one that is none, is about all of its events."""
    rows: Any = list("abcde")
    answer = PublishAnswer("1", accepted, throttled, "", "", 0, outcomes=outcomes)
    assert {name: list(letters) for name, letters in expected.items()} == _by_outcome(rows, answer)
