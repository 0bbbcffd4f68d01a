import random
from itertools import pairwise
from math import exp

import pytest

from harness.analysis.decide.sweep import Resolution, Search, Trial, TrialResult

FIVE_PERCENT = Resolution(0.05, is_relative=True)


def searched(search, answer_of):
    """Run a search on a simulated system and return its trials."""
    trials = []
    while (load := search.next_load(trials)) is not None:
        trials.append(Trial(load, answer_of(load)))
    return trials


def limited(limit, beyond=TrialResult.BROKE):
    """Return a system that holds up to a limit."""
    return lambda load: TrialResult.HELD if load <= limit else beyond


def loads(trials):
    return [one.load for one in trials]


def test_it_grows_by_the_factor_and_then_halves_what_is_left():
    """With a step of 50 and a limit of 730: doubled until it breaks, then the middle each time."""
    search = Search(100, 10_000, Resolution(50, is_relative=False))
    trials = searched(search, limited(730))
    assert [100, 200, 400, 800, 600, 700, 750] == loads(trials)
    assert (700, 750, TrialResult.BROKE) == search.bracket(trials)
    assert search.is_settled(trials)


def test_a_share_is_bisected_by_ratio():
    """Of 100 and 200 the middle is 141.42, so that every half is as fine as the other."""
    search = Search(100, 10_000, Resolution(0.2, is_relative=True))
    assert [100, 200, 141.42, 168.18] == loads(searched(search, limited(150)))


@pytest.mark.parametrize("limit", [73, 100, 101, 640, 999, 1000, 1001, 5_432, 12_345])
def test_a_known_limit_is_found_to_five_percent_in_twelve_steps(limit):
    """From a hundredth of it, or from above it."""
    search = Search(100, 1e9, FIVE_PERCENT, max_steps=12)
    trials = searched(search, limited(limit))
    low, high, _ = search.bracket(trials)
    assert low is not None
    assert high is not None
    assert low <= limit < high
    assert high <= 1.05001 * low
    assert len(trials) <= 12


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_noisy_limit_is_found_nine_times_of_ten(repeats):
    """Each run goes the wrong way by chance near the limit; 12 runs, repeated ones included."""
    chance = random.Random(20261123)
    found = 0
    for _ in range(400):
        limit = chance.uniform(800, 6400)

        def answer(load, limit=limit):
            holds = chance.random() < 1 / (1 + exp((load / limit - 1) / 0.005))
            return TrialResult.HELD if holds else TrialResult.BROKE

        search = Search(400, 1e9, FIVE_PERCENT, repeats=repeats, max_steps=12)
        low = search.bracket(searched(search, answer)).low
        found += low is not None and abs(low / limit - 1) <= 0.05
    assert found >= 360


def test_the_majority_at_the_edge_counts():
    """A load that broke by chance is tried again and taken back; both sides get their majority."""
    search = Search(100, 800, Resolution(100, is_relative=False), repeats=3)
    outcomes = iter([TrialResult.HELD, TrialResult.BROKE, TrialResult.HELD, TrialResult.HELD])
    later = limited(300)
    trials = searched(search, lambda load: next(outcomes, None) or later(load))
    assert [100, 200, 200, 200, 400, 300, 400, 300] == loads(trials)
    assert (300, 400, TrialResult.BROKE) == search.bracket(trials)


def test_a_tie_is_against_the_system():
    """Two runs that disagree do not make a capacity."""
    search = Search(100, 800, FIVE_PERCENT, repeats=2)
    trials = [Trial(100, TrialResult.HELD), Trial(100, TrialResult.BROKE)]
    assert (None, 100, TrialResult.BROKE) == search.bracket(trials)


def test_the_edge_of_the_generator_is_no_edge_of_the_system():
    """A run that failed is made once more; then the search goes on below, and says what it was."""
    search = Search(100, 800, Resolution(50, is_relative=False))
    trials = searched(search, limited(330, beyond=TrialResult.NONE))
    assert [100, 200, 400, 400, 300, 350, 350] == loads(trials)
    assert (300, 350, TrialResult.NONE) == search.bracket(trials)


def test_one_disturbed_run_does_not_count():
    """A generator that failed once and kept up the second time was disturbed."""
    search = Search(100, 400, Resolution(50, is_relative=False))
    outcomes = iter([TrialResult.HELD, TrialResult.NONE, TrialResult.HELD, TrialResult.HELD])
    trials = searched(search, lambda _: next(outcomes))
    assert [100, 200, 200, 400] == loads(trials)
    assert (400, None, TrialResult.HELD) == search.bracket(trials)


def test_nothing_is_tried_above_the_most():
    """The last growth ends there, also if the search began there."""
    assert [100, 200, 350] == loads(searched(Search(100, 350, FIVE_PERCENT), limited(1e9)))
    assert [350] == loads(searched(Search(500, 350, FIVE_PERCENT), limited(1e9)))


def test_a_start_above_the_limit_goes_down_and_gives_up_at_a_thousandth():
    """A system that never holds ends the search, whatever steps are left."""
    found = loads(searched(Search(1000, 1e6, FIVE_PERCENT, factor=4, max_steps=100), limited(0)))
    assert [1000, 250, 62.5, 15.625, 3.9062] == found[:5]
    assert 1.0 <= min(found) < 4
    assert [8, 4, 2, 1] == loads(searched(Search(8, 100, FIVE_PERCENT, is_whole=True), limited(0)))


def test_whole_loads_end_at_one_apart():
    """Nobody can be subscribed by half."""
    search = Search(3, 1000, Resolution(0.001, is_relative=True), is_whole=True, max_steps=50)
    trials = searched(search, limited(17))
    assert (17, 18, TrialResult.BROKE) == search.bracket(trials)
    assert all(load == int(load) for load in loads(trials))


def test_whole_loads_grow_by_one_at_least():
    """A small factor does not stop the search at a small load."""
    search = Search(2, 6, FIVE_PERCENT, factor=1.1, is_whole=True)
    assert [2, 3, 4, 5, 6] == loads(searched(search, limited(100)))


def test_a_search_that_was_cut_off_goes_on_where_it_was():
    """Any part of the history leads to the same next load."""
    search = Search(100, 10_000, FIVE_PERCENT, repeats=3, max_steps=30)
    trials = searched(search, limited(1234))
    for length, (_, following) in enumerate(pairwise(trials), 1):
        assert following.load == search.next_load(trials[:length])


def test_out_of_steps_is_not_settled():
    """The bracket is then wider than asked for, and says so."""
    search = Search(100, 10_000, FIVE_PERCENT, max_steps=5)
    trials = searched(search, limited(730))
    assert 5 == len(trials)
    assert not search.is_settled(trials)
