"""The users that one worker holds: when they join, what they subscribe to, how they are closed."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import gevent
import numpy as np

from harness.core.metric_types import CHATTER, SUBSCRIBER
from harness.load.schedule import FloatArray, IntArray, join_offsets_s, zipf
from harness.load.worker.run_context import RunContext
from harness.load.worker.session import UserSession
from harness.scenario.plan import Plan

LIVENESS_CHECK_S = 5.0
"""Interval between checks for silent connections, as in the Amplify client."""

LIVENESS_CHECKS_PER_TICK = 500
CLOSE_WITHIN_S = 15.0
CLOSES_PER_TICK = 200
_DRAWN_AT_ONCE = 1_000_000
"""Random numbers drawn at a time for users with several channels; bounds the memory."""


class Population:
    """The users of one worker: user k of a class belongs to worker k modulo W.

    Args:
        context: The run in this worker.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        plan, users = context.plan, context.users
        self._sessions: dict[str, list[UserSession]] = {name: [] for name in users}
        self._subscriptions = {
            name: Subscriptions(plan, name, count) for name, count in users.items()
        }
        self._join_offsets_s = {
            name: join_offsets_s(plan, name, count) for name, count in users.items()
        }
        self._ordinary: Counter[str] = Counter()

    def __iter__(self) -> Iterator[UserSession]:
        """Yield the sessions of all classes."""
        for sessions in self._sessions.values():
            yield from sessions

    def of_class(self, user_class: str) -> Sequence[UserSession]:
        """Return this worker's users of a class, in order of their numbers."""
        return self._sessions[user_class]

    def chatter(self, number: int) -> UserSession | None:
        """Return the session of the chatter with this global number, None before it starts."""
        place = number // self.context.workers
        sessions = self._sessions[CHATTER]
        return sessions[place] if place < len(sessions) else None

    def new_sessions(self, user_class: str) -> list[UserSession]:
        """Return the sessions of the next Locust user of a class: one, or a cohort of them."""
        cohort = self.context.plan.workload.population.connections_per_user
        return [session for _ in range(cohort) if (session := self._new_session(user_class))]

    def _new_session(self, user_class: str) -> UserSession | None:
        """Return the session of the next user of a class that belongs to this worker.

        None when there is none left: Locust replaces the users of a lost worker, a plan does not.
        """
        context, sessions = self.context, self._sessions[user_class]
        number = len(sessions) * context.workers + context.number
        if number >= context.users[user_class]:
            return None
        channels: Sequence[str] = ()
        if user_class == SUBSCRIBER or context.plan.workload.population.chatters_subscribe:
            channels = self._subscriptions[user_class].of(number)
        session = UserSession(context, user_class, number, channels)
        sessions.append(session)
        return session

    def join_all(self, sessions: Sequence[UserSession]) -> None:
        """Let each connection of one Locust user join at its time.

        Args:
            sessions: From ``new_sessions``.
        """
        for session in sessions:
            self.await_turn(session)
            if len(sessions) == 1:
                session.join()
            else:  # Not before its time: a waiting greenlet takes more memory than a connection.
                gevent.spawn(session.join)

    def await_turn(self, session: UserSession) -> None:
        """Sleep until a user is to join."""
        offset_s = float(self._join_offsets_s[session.user_class][session.number])
        gevent.sleep(max(offset_s - self.context.clock.elapsed_s(), 0.0))

    def await_ordinary_turn(self, name: str) -> bool:
        """Sleep until the next ordinary user of a class is to start; False if it must not start.

        Args:
            name: The name of the class.
        """
        context = self.context
        count = context.plan.ordinary.get(name, 0)
        number = self._ordinary[name] * context.workers + context.number
        self._ordinary[name] += 1
        if number >= count:
            return False
        turn_s = (number + 0.5) / count * context.plan.ramp_s
        gevent.sleep(max(turn_s - context.clock.elapsed_s(), 0.0))
        return not context.over

    def check_liveness(self) -> None:
        """Close silent connections in small batches; the body of a greenlet."""
        while True:
            gevent.sleep(LIVENESS_CHECK_S)
            for place, session in enumerate(list(self)):
                session.check_liveness(time.time_ns())
                if place % LIVENESS_CHECKS_PER_TICK == 0:
                    gevent.sleep(0)

    def cancel_joins(self) -> None:
        """Fail every join that is still under way."""
        for session in self:
            session.cancel_join()

    def close(self, end_ns: int) -> None:
        """Close every connection in small batches, then drop those that do not answer.

        Args:
            end_ns: Run clock at which a connection that is dropped counts as closed.
        """
        open_sessions = [session for session in self if session.connected]
        for place, session in enumerate(open_sessions):
            session.close()
            if place % CLOSES_PER_TICK == 0:
                gevent.sleep(0)
        deadline_s = time.monotonic() + CLOSE_WITHIN_S
        while time.monotonic() < deadline_s and any(s.connected for s in open_sessions):
            gevent.sleep(0.05)
        for session in self:
            session.drop(end_ns)


class Subscriptions:
    """The channels of every user of a class, drawn by popularity from the seed.

    Args:
        plan: Gives channels, their popularity and the seed.
        user_class: Classes draw independently.
        count: Number of users of the class.
    """

    def __init__(self, plan: Plan, user_class: str, count: int) -> None:
        self._plan = plan
        channels = plan.workload.channels
        rng = np.random.default_rng([plan.workload.seed, 3, sum(user_class.encode())])
        each = channels.subscriptions_per_client
        if each == 1:
            drawn = zipf(rng, count, channels.count, channels.zipf_skew)
            self.channels: IntArray = drawn.reshape(count, 1)
        else:
            self.channels = _different(rng, (count, each), np.array(channels.weights))
        """Channel indexes, shape (users, subscriptions); unused for wildcard users."""
        self.holds_all = np.zeros(count, dtype=np.bool_)
        """Whether a user subscribes to all channels by one wildcard, shape (users,)."""
        self.holds_all[rng.permutation(count)[: round(count * channels.wildcard_share)]] = True
        self._paths: dict[tuple[int, ...], tuple[str, ...]] = {}

    def of(self, number: int) -> tuple[str, ...]:
        """Return the paths that a user subscribes to; users with the same paths share one tuple."""
        if self.holds_all[number]:
            return self._paths.setdefault((), (self._plan.every_channel,))
        indexes = tuple(self.channels[number].tolist())
        paths = self._paths.get(indexes)
        if paths is None:
            paths = self._paths[indexes] = tuple(map(self._plan.channel_path, indexes))
        return paths


def _different(
    rng: np.random.Generator,
    shape: tuple[int, int],
    weights: FloatArray,
) -> IntArray:
    """Draw different channels for each user, one after the other by their weights.

    Every channel has a clock that rings after an exponential time with its weight as the rate: the
    first to ring are such a draw. Source: Efraimidis and Spirakis, "Weighted random sampling with
    a reservoir", Information Processing Letters 97, 2006.

    Args:
        rng: Source of the randomness.
        shape: (users, channels each).
        weights: Of the channels, shape (channels,).
    """
    users, each = shape
    at_once = max(_DRAWN_AT_ONCE // len(weights), 1)
    drawn = []
    for start in range(0, users, at_once):
        rings_s = rng.exponential(size=(min(at_once, users - start), len(weights))) / weights
        drawn.append(np.sort(np.argpartition(rings_s, each - 1)[:, :each]))
    return np.concatenate(drawn) if drawn else np.empty((0, each), dtype=np.int64)
