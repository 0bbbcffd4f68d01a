"""Chatters who were throttled keep silent for a while, as well-behaved clients do."""

import random

LONGEST_S = 30.0


class BackOff:
    """Who keeps silent, and until when.

    Args:
        base_s: Longest silence after a first throttled publish; 0 lets nobody keep silent.
    """

    def __init__(self, base_s: float) -> None:
        self._base_s = base_s
        self._silent: dict[int, tuple[float, int]] = {}

    def silent(self, chatter: int, now_s: float) -> bool:
        """Say whether a chatter keeps silent at a moment of any steady clock."""
        until_s, _ = self._silent.get(chatter, (0.0, 0))
        return now_s < until_s

    def heard(self, chatter: int, now_s: float, *, throttled: bool) -> None:
        """Take the answer to one publish of a chatter; one that is not throttled ends a row."""
        if not throttled:
            self._silent.pop(chatter, None)
        elif self._base_s:
            _, times = self._silent.get(chatter, (0.0, 0))
            most_s = min(LONGEST_S, self._base_s * 2.0 ** min(times, 20))
            # Full jitter: nobody comes back in step.
            self._silent[chatter] = now_s + random.uniform(0.0, most_s), times + 1
