"""How far one clock is from another, from questions and answers between them, and how surely.

One asks for the time, the other answers at once. The answer was given some time between the
asking and its return, so the offset is known to half the round trip whatever way was the slower
(Cristian, "Probabilistic clock synchronization", 1989). The quickest of many exchanges tells most.
"""

from collections import deque
from dataclasses import dataclass

DRIFT_RATIO = 500e-6
"""Fastest that two clocks are taken to part: what a kernel slews a clock at most; adjtimex(2)."""

KEPT_READINGS = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """One exchange.

    Attributes:
        asked_ns: Our clock when we asked.
        answered_ns: The other clock when it answered.
        returned_ns: Our clock when the answer was here.
    """

    asked_ns: int
    answered_ns: int
    returned_ns: int

    @property
    def round_trip_ns(self) -> int:
        """How long the exchange took."""
        return self.returned_ns - self.asked_ns

    @property
    def offset_ns(self) -> int:
        """The other clock minus ours, were both ways equally long."""
        return self.answered_ns - self.asked_ns - self.round_trip_ns // 2

    def error_ns(self, now_ns: int) -> int:
        """Return how wrong the offset can be by now: either way could have been the whole trip."""
        aged_ns = abs(now_ns - self.returned_ns)
        return (self.round_trip_ns + 1) // 2 + round(DRIFT_RATIO * aged_ns)


@dataclass(frozen=True, slots=True)
class Offset:
    """The other clock minus ours.

    Attributes:
        offset_ns: The best estimate.
        error_ns: How wrong it can be, either way.
        round_trip_ns: Round trip of the exchange that told it.
    """

    offset_ns: int
    error_ns: int
    round_trip_ns: int


class OffsetEstimator:
    """The offset of one clock, from exchanges that go on for as long as it is needed."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=KEPT_READINGS)

    def add(self, reading: Reading) -> int:
        """Take one exchange; return by how much it contradicts those before it, in ns.

        0 where both can be true. Otherwise a clock was set, or drifts faster than a clock may: all
        that came before is forgotten.
        """
        if reading.round_trip_ns < 0:  # Our own clock was set back meanwhile.
            return 0
        before = self.estimate(reading.returned_ns)
        if before is None:
            self._readings.append(reading)
            return 0
        apart_ns = abs(reading.offset_ns - before.offset_ns)
        beyond_ns = apart_ns - before.error_ns - reading.error_ns(reading.returned_ns)
        if beyond_ns > 0:
            self._readings.clear()
        self._readings.append(reading)
        return apart_ns if beyond_ns > 0 else 0

    def estimate(self, now_ns: int) -> Offset | None:
        """Return the offset by the surest exchange as of ``now_ns`` on our clock; None without."""
        if not self._readings:
            return None
        best = min(self._readings, key=lambda reading: reading.error_ns(now_ns))
        return Offset(best.offset_ns, best.error_ns(now_ns), best.round_trip_ns)
