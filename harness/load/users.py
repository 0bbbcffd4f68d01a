"""Locust users: a subscriber who listens, and a chatter who also publishes.

A Locust user here is a connection, not a loop of requests: it joins at its time and then its
greenlet sleeps. The event loop's reader delivers to its ledger and the schedule sends its
publishes, so the greenlet costs nothing until the run ends. A subclass may define ``on_start``,
``on_stop`` and tasks, which run beside its connection.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import gevent
from gevent import get_hub
from locust import User, task
from locust.user.task import LOCUST_STATE_RUNNING

from harness.core.metric_types import CHATTER, SUBSCRIBER
from harness.core.system import installed_systems
from harness.load.worker.population import Population
from harness.load.worker.session import UserSession


class FanOutUser(User):
    """A user of the system under test; subclasses set its class."""

    abstract = True
    user_class: ClassVar[str]
    system: ClassVar[str | None] = None
    """The one system that these users can join; None leaves it to the target."""

    population: ClassVar[Population | None] = None
    """The users of this process; set before the first one starts, None if the run cannot start."""

    sessions: Sequence[UserSession] | None = None

    @task
    def live(self) -> None:
        """Join and stay until the run ends."""
        if self.population is not None:
            sessions = self.sessions
            if sessions is None:
                sessions = self.population.new_sessions(self.user_class)
            self.population.join_all(sessions)
        get_hub().switch()  # Sleeps until it is killed, without an object to wait on.


class Subscriber(FanOutUser):
    """Joins, subscribes and listens."""

    user_class = SUBSCRIBER


class Chatter(FanOutUser):
    """Joins, subscribes if the workload has chatters subscribe, and publishes."""

    user_class = CHATTER


class DelayedStart(User):
    """Delays a user's own ``on_start`` until its time in the ramp; mixed into such classes.

    Attributes:
        has_begun: Whether its own ``on_start`` has begun; if not, ``on_stop`` is skipped.
    """

    abstract = True
    has_begun = False

    def on_start(self) -> None:
        """Wait for the user's time, then run the class's own ``on_start``."""
        self.await_turn()
        self.has_begun = True
        try:
            super().on_start()
        except SystemExit as error:  # gevent would end the whole process with it.
            raise RuntimeError(f"SystemExit({error}) in on_start") from error

    def on_stop(self) -> None:
        """Run the class's own ``on_stop`` if its ``on_start`` had begun."""
        if self.has_begun:
            super().on_stop()  # type: ignore[no-untyped-call]  # Locust's own

    def await_turn(self) -> None:
        """Sleep until the user must start; until it is killed if it must not."""
        raise NotImplementedError


class DelayedOrdinaryUser(DelayedStart):
    """An ordinary user of the locustfile."""

    abstract = True

    def await_turn(self) -> None:
        """Sleep until the user must start; until it is killed if it must not."""
        population = FanOutUser.population
        if population is None or not population.await_ordinary_turn(type(self).__name__):
            get_hub().switch()

    def on_start(self) -> None:
        """Wait for the user's time, run its own ``on_start``, then count it as started."""
        super().on_start()
        if FanOutUser.population is None:
            return
        context = FanOutUser.population.context
        if not context.over and self._state == LOCUST_STATE_RUNNING:
            context.tried[type(self).__name__] += 1


class DelayedFanOutUser(DelayedStart, FanOutUser):
    """A fan-out user whose class defines ``on_start``, ``on_stop`` or tasks."""

    abstract = True
    has_own_tasks: ClassVar[bool] = False
    """Whether its own tasks occupy the user's greenlet, so that it joins in another one."""

    def await_turn(self) -> None:
        """Sleep until the user's first connection is to join."""
        population = self.population
        if population is None:
            get_hub().switch()
            return
        self.sessions = population.new_sessions(self.user_class)
        if self.sessions:
            population.await_turn(self.sessions[0])
        if not self.sessions or population.context.over:
            get_hub().switch()

    def on_start(self) -> None:
        """Wait for the user's time, run its own ``on_start``, and join."""
        super().on_start()
        if self.has_own_tasks and self.population is not None and self.sessions:
            gevent.spawn(self.population.join_all, self.sessions)


def delayed(found: type[User]) -> type[User]:
    """Return a class of the same name with a delayed start; the class itself if it needs none."""
    if not issubclass(found, FanOutUser):
        return _derived(found, DelayedOrdinaryUser, {})
    own_tasks = [one for one in found.tasks if one is not FanOutUser.live]
    if not (own_tasks or has_own_hooks(found)):
        return found
    tasks = own_tasks or [FanOutUser.live]
    derived = _derived(found, DelayedFanOutUser, {"has_own_tasks": bool(own_tasks)})
    derived.tasks = tasks
    return derived


def has_own_hooks(found: type[User]) -> bool:
    """Return whether a class defines ``on_start`` or ``on_stop``."""
    return (found.on_start, found.on_stop) != (User.on_start, User.on_stop)


def _derived(found: type[User], mixin: type[DelayedStart], members: dict[str, Any]) -> type[User]:
    names = {"__module__": found.__module__, "__qualname__": found.__qualname__}
    # With the metaclass of the found class, which may not be Locust's.
    metaclass: Any = type(found)
    derived: type[User] = metaclass(found.__name__, (mixin, found), names | members)
    return derived


def systems_of(user_classes: Iterable[type[User]]) -> tuple[str, ...]:
    """Return the installed systems that users of these classes can join."""
    bound = {one.system for one in user_classes if issubclass(one, FanOutUser)} - {None}
    return tuple(name for name in installed_systems() if bound <= {name})
