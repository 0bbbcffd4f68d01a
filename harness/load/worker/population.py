"""The users that one worker holds: when they join, what they subscribe to, how they are closed."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import gevent

from harness.load.join_schedule import join_offsets_s
from harness.load.subscriptions import Subscriptions
from harness.load.worker.run_context import CHATTER, SUBSCRIBER, RunContext
from harness.load.worker.session import UserSession

LIVENESS_CHECK_S = 5.0
"""Interval between checks for silent connections, as in the Amplify client."""

LIVENESS_CHECKS_PER_TICK = 500
CLOSE_WITHIN_S = 15.0
CLOSES_PER_TICK = 200


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
