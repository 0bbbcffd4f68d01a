"""When users come, and which of them a disturbance takes: pure functions of the plan."""

import numpy as np
import numpy.typing as npt

from harness.scenario.disturbances import FlashCrowd, lasts_s
from harness.scenario.plan import Plan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def disturbance_order(plan: Plan, user_class: str, count: int, disturbance: int) -> IntArray:
    """Return the users of a class in the order in which a disturbance takes them, shape (count,).

    Args:
        plan: The plan, for its seed.
        user_class: subscriber or chatter.
        count: Users of the class.
        disturbance: Place of the disturbance in the workload.
    """
    salt = sum(user_class.encode())
    return np.random.default_rng([plan.workload.seed, 4, salt, disturbance]).permutation(count)


def join_offsets_s(plan: Plan, user_class: str, count: int) -> FloatArray:
    """Return when each user of a class starts to join, in seconds after the epoch, shape (count,).

    Joins of each class are spread evenly over the whole ramp, so all classes arrive mixed. Users
    who come with a flash crowd are spread over that one's instead.
    """
    offsets_s = np.full(count, np.nan)
    for place, one in enumerate(plan.workload.disturbances):
        if isinstance(one, FlashCrowd):
            order = disturbance_order(plan, user_class, count, place)
            held_back = order[np.isnan(offsets_s[order])][: round(count * one.share)]
            start_s = plan.measure_start_s + one.at_s
            offsets_s[held_back] = start_s + spread_s(len(held_back), lasts_s(one, plan.users))
    at_first = np.flatnonzero(np.isnan(offsets_s))
    offsets_s[at_first] = spread_s(len(at_first), plan.ramp_s)
    return offsets_s


def spread_s(count: int, length_s: float) -> FloatArray:
    """Return the middles of ``count`` equal parts of a length of time."""
    return (np.arange(count) + 0.5) / max(count, 1) * length_s
