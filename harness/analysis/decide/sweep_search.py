"""Which load a sweep tries next, and what its trials say so far; nothing here runs anything.

A search is a function of its history alone: the same trials always lead to the same next load. An
interrupted sweep therefore goes on where it stopped, and a simulated one is as good as a real one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

_DIGITS: Final = 5
"""Loads that need not be whole are rounded to so many significant digits, to be readable."""
_SMALLEST: Final = 1e-3
"""No search goes below this share of where it began."""
_TRIES_WITHOUT_AN_ANSWER: Final = 2
"""A generator that failed once may have been disturbed; one that failed twice is at its limit."""


class Answer(StrEnum):
    """What a trial says about the system at its load."""

    HELD = "held"
    BROKE = "broke"
    NONE = "none"
    """The load generator itself failed, so that nothing is known about the system."""


class Trial(NamedTuple):
    """One run at one load."""

    load: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Resolution:
    """How far apart the two loads around the edge may be in the end.

    Attributes:
        size: In the unit of the load, or as a share of the lower load.
        is_relative: Whether it is a share.
    """

    size: float
    is_relative: bool

    def is_reached(self, low: float, high: float) -> bool:
        """Say whether two loads are as close as asked for; rounding does not count."""
        wanted = low * self.size if self.is_relative else self.size
        return high - low <= wanted * (1 + 10**-_DIGITS)

    def middle(self, low: float, high: float) -> float:
        """Return the load that halves what is left: of a ratio the geometric mean."""
        return float((low * high) ** 0.5) if self.is_relative else (low + high) / 2


class Bracket(NamedTuple):
    """What is known of the edge: it lies between two loads that were tried.

    Attributes:
        low: The highest load that held, below every load that did not; None if there is none.
        high: The lowest load that did not hold; None if there is none.
        answer: What happened at ``high``.
    """

    low: float | None
    high: float | None
    answer: Answer


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the highest load that holds: grow until one does not, then bisect.

    Attributes:
        start: The first load.
        most: No load above this is tried.
        resolution: How finely the edge is wanted.
        factor: By how much a load that held is raised, and one that broke lowered.
        repeats: Runs at each of the two loads around the edge, of which the majority counts; a tie
            is against the system.
        max_steps: Most trials in all, repeated ones included.
        is_whole: Whether loads are whole numbers.
    """

    start: float
    most: float
    resolution: Resolution
    factor: float = 2.0
    repeats: int = 1
    max_steps: int = 16
    is_whole: bool = False

    def next_load(self, trials: Sequence[Trial]) -> float | None:
        """Return the load to try next; None when the search is over."""
        if len(trials) >= self.max_steps:
            return None
        return self._wanted(trials)

    def is_settled(self, trials: Sequence[Trial]) -> bool:
        """Say whether the search came to its end, rather than to its last step."""
        return self._wanted(trials) is None

    def bracket(self, trials: Sequence[Trial]) -> Bracket:
        """Return the two loads between which the edge lies, as far as the trials say."""
        answers = {load: _majority(_at(trials, load)) for load in {one.load for one in trials}}
        failed = [load for load, answer in answers.items() if answer is not Answer.HELD]
        high = min(failed, default=None)
        held = [load for load in answers if load not in failed and (high is None or load < high)]
        answer = Answer.HELD if high is None else answers[high]
        return Bracket(max(held, default=None), high, answer)

    def _wanted(self, trials: Sequence[Trial]) -> float | None:
        low, high, answer = self.bracket(trials)
        tries = 0 if high is None else len(_at(trials, high))
        if answer is Answer.NONE and tries < _TRIES_WITHOUT_AN_ANSWER:
            return high
        if low is None and high is None:
            return self._rounded(min(self.start, self.most))
        if high is None:
            assert low is not None  # noqa: S101 - one of the two is there
            grown = self._rounded(min(max(low * self.factor, low + self.is_whole), self.most))
            return grown if low < self.most and grown > low else self._unsure(trials, (low,))
        if low is None:
            shrunk = self._rounded(high / self.factor)
            least = max(self.start * _SMALLEST, float(self.is_whole))
            return shrunk if least <= shrunk < high else self._unsure(trials, (high,))
        middle = self._rounded(self.resolution.middle(low, high))
        middle = max(middle, low + self.is_whole)
        if low < middle < high and not self.resolution.is_reached(low, high):
            return middle
        return self._unsure(trials, (high, low))

    def _unsure(self, trials: Sequence[Trial], loads: Sequence[float]) -> float | None:
        """Return the first of these loads whose majority could still change."""
        for load in loads:
            answers = [one.answer for one in _at(trials, load)]
            held, broke = answers.count(Answer.HELD), answers.count(Answer.BROKE)
            is_open = 2 * held <= self.repeats and 2 * broke < self.repeats
            if is_open and answers.count(Answer.NONE) < _TRIES_WITHOUT_AN_ANSWER:
                return load
        return None

    def _rounded(self, load: float) -> float:
        # Down, so that a whole load never passes the most.
        return float(int(load)) if self.is_whole else float(f"{load:.{_DIGITS}g}")


def _at(trials: Sequence[Trial], load: float) -> list[Trial]:
    return [one for one in trials if one.load == load]


def _majority(trials: Sequence[Trial]) -> Answer:
    answers = [one.answer for one in trials]
    held, broke = answers.count(Answer.HELD), answers.count(Answer.BROKE)
    if not held and not broke:
        return Answer.NONE
    return Answer.HELD if held > broke else Answer.BROKE
