"""The user classes of a run: fan-out users, and ordinary Locust users that run beside them."""

import hashlib
import inspect
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import gevent
import locust
from locust import FastHttpUser, HttpUser, LoadTestShape, User
from locust.runners import Runner
from locust.util.load_locustfile import is_shape_class, is_user_class

from harness.core.errors import LocustfileError
from harness.load.locustfile_loading import load_locustfile
from harness.load.users import Chatter, DelayedStart, FanOutUser, Subscriber, delayed
from harness.scenario.plan import Plan

OTHERS = "population.others"
STOP_TIMEOUT_MAX_S = 30.0
"""Time for ``on_stop`` and the last task of ordinary users; the master waits slightly longer."""


DEFAULTS: Mapping[str, type[FanOutUser]] = {one.user_class: one for one in (Subscriber, Chatter)}
"""The class of each kind that the locustfile does not define."""


STOPPED_WITHIN_S = STOP_TIMEOUT_MAX_S + 10.0


class UserClasses(NamedTuple):
    """The classes that Locust found, by kind.

    Attributes:
        fan_out: The class of each kind of fan-out user, by kind: subscriber, chatter.
        weightless: Names of classes that Locust leaves out, for their weight is 0.
    """

    where: str
    fan_out: Mapping[str, type[FanOutUser]]
    others: Mapping[str, type[User]]
    weightless: frozenset[str] = frozenset()


def load_users(path: str) -> tuple[dict[str, type[User]], list[LoadTestShape]]:
    """Load a locustfile in Locust's stead: return its user classes and its load shapes.

    Raises:
        LocustfileError: If it cannot be loaded, or has neither.
    """
    module = load_locustfile(Path(path))
    found = {name: one for name, one in vars(module).items() if is_user_class(one)}
    if not found:
        hint = "import Subscriber and Chatter from harness, or write User classes of your own"
        raise LocustfileError(path, "has no User class", "one is needed", hint)
    return found, [one() for one in vars(module).values() if is_shape_class(one)]


def loaded_classes(options: Namespace) -> list[type[User]] | None:
    """Return the classes of a locustfile that a command line selects; None if they are not loaded.

    Locust starts its workers before it passes the classes on; an impossible run is refused before
    that.

    Raises:
        LocustfileError: If the locustfile has a load shape.
    """
    modules: list[ModuleType] = []
    for path in str(options.locustfile).split(","):
        stem = Path(path.strip()).stem
        module = sys.modules.get("locustfile" if stem == "locust" else stem)
        if module is None:
            return None
        modules.append(module)
    shapes = [one for module in modules for one in vars(module).values() if is_shape_class(one)]
    if shapes:
        raise _shaped(str(options.locustfile), shapes[0])
    found = [one for module in modules for one in vars(module).values() if is_user_class(one)]
    named = set(options.user_classes or ())
    return [one for one in dict.fromkeys(found) if not named or one.__name__ in named]


def _shaped(where: str, shape: type) -> LocustfileError:
    required = "the workload defines when users start"
    hint = "take it out of the locustfile; joins.rate_per_s and [[disturbances]] shape the load"
    return LocustfileError(where, f"has the load shape {shape.__name__}", required, hint)


def classify(found: Iterable[type[User]], where: str) -> UserClasses:
    """Sort classes into fan-out users and ordinary users.

    A class with a subclass of the same kind counts only as its base.

    Raises:
        LocustfileError: If there are two classes of a kind of fan-out user.
    """
    every = list(found)
    classes = [one for one in every if one.weight > 0 or one.fixed_count > 0]
    fan_out: dict[str, type[FanOutUser]] = {}
    for kind in DEFAULTS:
        alike = [one for one in classes if issubclass(one, FanOutUser) and one.user_class == kind]
        last = [
            one
            for one in alike
            if not any(issubclass(other, one) for other in alike if other != one)
        ]
        if len(last) > 1:
            names = " and ".join(sorted(one.__name__ for one in last))
            hint = "keep one, and let the other be abstract = True"
            raise LocustfileError(where, f"has {names}", f"one class of {kind}s is allowed", hint)
        if last:
            fan_out[kind] = last[0]
    others = {one.__name__: one for one in classes if not issubclass(one, FanOutUser)}
    weightless = frozenset(one.__name__ for one in every if one not in classes)
    return UserClasses(where, fan_out, others, weightless)


def plan_with_counts(plan: Plan, classes: UserClasses, named: Sequence[str] = ()) -> Plan:
    """Return the plan with a count for each ordinary class of the locustfile.

    Args:
        plan: With the workload's own counts.
        classes: Of the locustfile.
        named: Classes that Locust's command line names; empty for all.

    Raises:
        LocustfileError: If a class is missing, has no count, or is for another system.
    """
    for bound in classes.fan_out.values():
        if bound.system is not None and bound.system != plan.target.system:
            found = f"{bound.__name__} is for {bound.system}"
            required = f"the target's system is {plan.target.system}"
            raise LocustfileError(classes.where, found, required, _OF_ITS_SYSTEM)
    counts = plan.workload.population.ordinary
    for name, count in counts.items():
        if count and name not in classes.others:
            raise _missing(classes, name, count, named)
    own = {
        name: _own_count(classes.where, one)
        for name, one in classes.others.items()
        if name not in counts
    }
    for kind, count in plan.planned_users.items():
        if named and count and kind in DEFAULTS and kind not in classes.fan_out:
            found = f"the command line names {', '.join(named)} and no class of {kind}s"
            required = f"population.{kind}s = {count} are planned"
            raise LocustfileError(classes.where, found, required, _NAME_ALL)
    return plan.model_copy(update={"fixed_counts": own})


_NAME_ONE = "it has none at all; name a locustfile that has them: --locustfile FILE"
_OF_ITS_SYSTEM = "name a target of that system, or leave the class attribute system out"
_NAME_ALL = "name no classes: the workload's population has the count of each"


def _missing(classes: UserClasses, name: str, count: int, named: Sequence[str]) -> LocustfileError:
    if name in classes.weightless:
        hint = f"leave the weight out: {OTHERS}.{name} is the number of users"
        required = f"{OTHERS} plans {count} of it"
        return LocustfileError(classes.where, f"the weight of {name} is 0", required, hint)
    if named:
        found = f"the command line names {', '.join(named)} and not {name}"
        return LocustfileError(classes.where, found, f"{OTHERS}.{name} = {count}", _NAME_ALL)
    found = f"has no ordinary User class {name}"
    there = ", ".join(sorted(classes.others))
    hint = f"its ordinary User classes: {there}" if there else _NAME_ONE
    if any(one.__name__ == name for one in classes.fan_out.values()):
        hint = f"population.subscribers and population.chatters count the users of {name}"
    return LocustfileError(classes.where, found, f"{OTHERS} plans {count} of it", hint)


def _own_count(where: str, one: type[User]) -> int:
    if one.fixed_count:
        return int(one.fixed_count)
    name = one.__name__
    hint = f"write how many below [{OTHERS}]: {name} = 10, or {name} = 0 to leave it out"
    raise LocustfileError(where, f"{name} has no count", "each User class needs one", hint)


def refuse_options(options: Namespace) -> None:
    """Refuse options of Locust that contradict a plan; raises LocustfileError for the first."""
    reasons = {
        "--class-picker": (options.class_picker, "the workload defines which classes run"),
        "--config-users": (options.config_users, "the workload defines how many users run"),
    }
    for flag, (given, required) in reasons.items():
        if given:
            raise LocustfileError(flag, "was given", required, "leave it out")
    if float(options.stop_timeout or 0.0) > STOP_TIMEOUT_MAX_S:
        limit = f"at most {STOP_TIMEOUT_MAX_S:g} s are waited for"
        raise LocustfileError("--stop-timeout", f"{options.stop_timeout} s", limit)


def classes_to_run(found: Sequence[type[User]], options: Any, where: str) -> list[type[User]]:
    """Return the classes to run in place of those that Locust found.

    Classes with own code get a delayed start in the ramp, and the default class is added for each
    kind of fan-out user that the locustfile does not define.
    """
    classes = classify(found, where)
    # Joining is no task that a tag could take away.
    tags = set(options.tags or ())
    FanOutUser.live.locust_tag_set = tags - set(options.exclude_tags or ())  # type: ignore[attr-defined]  # as Locust does
    fan_out = classes.fan_out
    if not options.user_classes:
        taken = classes.others
        fan_out = {
            **{kind: one for kind, one in DEFAULTS.items() if one.__name__ not in taken},
            **fan_out,
        }
    return [delayed(one) for one in (*fan_out.values(), *classes.others.values())]


def require_tasks(found: Iterable[type[User]], options: Any, where: str) -> None:
    """Require a task in each ordinary class to run, after tags; raises LocustfileError."""
    for one in found:
        if not one.tasks and not getattr(one, "functions", None) and one.fixed_count:
            what, do = f"{one.__name__} has no task", "give it one"
            if options.tags or options.exclude_tags:
                what, do = f"{what} left after --tags and --exclude-tags", "tag one of its tasks"
            hint = f"set {OTHERS}.{one.__name__} = 0, or {do}"
            raise LocustfileError(where, what, f"{one.fixed_count} of it are planned", hint)


def require_hosts(plan: Plan, classes: UserClasses, host: str | None) -> None:
    """Require a host for users that make HTTP requests; Locust would stop the run without one.

    Raises:
        LocustfileError: If a planned class has none.
    """
    for name, one in (*classes.fan_out.items(), *classes.others.items()):
        for kind in (HttpUser, FastHttpUser):
            # A class with its own __init__ may set the host there.
            needs_host = one.__init__ is kind.__init__ and one.host is None
            if needs_host and not host and plan.planned_users.get(name):
                found = f"{one.__name__} is an {kind.__name__} without a host"
                hint = 'set host = "…" in the class, or --locust-arg=--host=URL'
                raise LocustfileError(classes.where, found, "its requests need one", hint)


def stop_own_code(runner: Runner) -> None:
    """Stop the users with own code in the locustfile, as Locust does, ``on_stop`` included.

    Their last requests are then part of the record.
    """
    own = {one.__name__ for one in runner.user_classes if issubclass(one, DelayedStart)}
    running = {name: count for name, count in runner.user_classes_count.items() if name in own}
    with gevent.Timeout(STOPPED_WITHIN_S, exception=False):  # An on_stop may hang.
        runner.stop_users(running)
    # Users that only hold a connection have no task to wait for.
    runner.environment.stop_timeout = 0.0


def fingerprint(found: Mapping[str, Any] | None) -> str:
    """Return a hash of the names of all classes of a locustfile and the contents of their files."""
    ours = (str(Path(__file__).parents[1]), str(Path(locust.__file__).parent))
    digest = hashlib.sha256()
    for name, one in sorted((found or {}).items()):
        digest.update(name.encode())
        file = inspect.getfile(one)
        if not file.startswith(ours):
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


def own_locustfile(given: str) -> str:
    """Return the names of the files that Locust was given; empty for the harness's own."""
    ours = Path(__file__).with_name("locustfile.py")
    paths = [Path(path.strip()) for path in str(given).split(",")]
    return ",".join(path.name for path in paths if path.resolve() != ours)
