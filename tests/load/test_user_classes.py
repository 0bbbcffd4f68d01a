from argparse import Namespace
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import gevent
import pytest
from locust import FastHttpUser, HttpUser, LoadTestShape, User, task
from locust.env import Environment
from locust.exception import StopUser

from harness.core.errors import LocustfileError
from harness.load import users
from harness.load.user_classes import (
    classes_to_run,
    classify,
    fingerprint,
    plan_with_counts,
    refuse_options,
    require_hosts,
    require_tasks,
)
from harness.load.users import FanOutUser, delayed
from tests.support.plans import make_plan, revised
from tests.support.waiting import PATIENCE_S


class Subscriber(users.Subscriber):
    pass


class Chatter(users.Chatter):
    pass


class Browser(HttpUser):
    host = "http://127.0.0.1:1"

    @task
    def page(self):
        self.client.get("/")


class Reader(User):
    fixed_count = 3

    @task
    def read(self):
        pass


def with_others(plan, **others):
    return revised(plan, population={"others": others})


def sentence(plan, *found, named=()):
    with pytest.raises(LocustfileError) as caught:
        plan_with_counts(plan, classify(found, "mine.py"), named)
    return str(caught.value)


def test_ordinary_classes_get_their_counts_from_the_workload_or_themselves():
    """``fixed_count`` is what a Locust user writes where the workload says nothing."""
    plan = with_others(make_plan(), Browser=20)
    counted = plan_with_counts(plan, classify([Subscriber, Chatter, Browser, Reader], "mine.py"))
    assert {"Browser": 20, "Reader": 3} == counted.ordinary
    assert counted.workload == plan.workload, "what the workload says is what is recorded of it"
    assert 123 == sum(counted.planned_users.values())


def test_class_without_a_count_is_refused_with_how_to_give_one():
    """Neither none of it nor one would be what was meant."""
    assert sentence(make_plan(), Subscriber, Browser) == (
        "mine.py: Browser has no count, each User class needs one\n"
        "hint: write how many below [population.others]: Browser = 10, or Browser = 0 to leave it "
        "out"
    )


@pytest.mark.parametrize("kind", [HttpUser, FastHttpUser])
def test_http_user_without_a_host_is_refused_before_it_stops_the_run(kind):
    """Locust would end the whole run at the first of them; --host, or a count of 0, is enough."""

    class Visitor(kind):  # type: ignore[misc, valid-type]  # known to pytest alone
        @task
        def page(self):
            self.client.get("/")

    classes = classify([Subscriber, Visitor], "mine.py")
    plan = plan_with_counts(with_others(make_plan(), Visitor=2), classes)
    with pytest.raises(LocustfileError) as caught:
        require_hosts(plan, classes, None)
    assert f"{caught.value}" == (
        f"mine.py: Visitor is an {kind.__name__} without a host, its requests need one\n"
        'hint: set host = "…" in the class, or --locust-arg=--host=URL'
    )
    require_hosts(plan, classes, "http://127.0.0.1:1")
    require_hosts(plan_with_counts(with_others(make_plan(), Visitor=0), classes), classes, None)


def test_http_user_that_may_have_a_host_is_let_through():
    """A class attribute, or an ``__init__`` of its own that may set it."""

    class Chooser(HttpUser):
        def __init__(self, environment):
            self.host = "http://127.0.0.1:1"
            super().__init__(environment)

    classes = classify([Browser, Chooser], "mine.py")
    require_hosts(with_others(make_plan(), Browser=1, Chooser=1), classes, None)


def test_count_of_a_class_that_is_not_there_names_those_that_are():
    """A slip of the pen must not take users out of the load."""
    assert sentence(with_others(make_plan(), Browsr=5, Browser=1), Subscriber, Browser) == (
        "mine.py: has no ordinary User class Browsr, population.others plans 5 of it\n"
        "hint: its ordinary User classes: Browser"
    )


def test_count_of_a_fan_out_class_is_refused():
    """Its users are counted already."""
    text = sentence(with_others(make_plan(), Subscriber=5), Subscriber)
    assert "population.subscribers and population.chatters count the users of Subscriber" in text


def test_class_of_another_system_is_refused():
    """A locustfile may be written for one system alone."""

    class Poller(users.Subscriber):
        system = "polling"

    assert sentence(make_plan(), Poller) == (
        "mine.py: Poller is for polling, the target's system is appsync-events\n"
        "hint: name a target of that system, or leave the class attribute system out"
    )


def test_two_classes_of_a_kind_are_refused_but_not_a_class_and_its_base():
    """Which of the two should run the plan's users would be ambiguous."""

    class Lurker(users.Subscriber):
        pass

    class Derived(Subscriber):
        pass

    with pytest.raises(LocustfileError, match="has Lurker and Subscriber, one class of subscri"):
        classify([Lurker, Subscriber], "mine.py")
    assert {"subscriber": Derived} == classify([Subscriber, Derived], "mine.py").fan_out


@pytest.mark.parametrize(
    ("named", "found", "text"),
    [
        (("Browser",), [Browser], "names Browser and no class of subscribers"),
        (("Subscriber", "Chatter"), [Subscriber, Chatter], "Subscriber, Chatter and not Browser"),
    ],
)
def test_command_line_that_leaves_out_planned_users_is_refused(named, found, text):
    """The run would be lighter than its plan says."""
    assert text in sentence(with_others(make_plan(), Browser=2), *found, named=named)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"class_picker": True}, "--class-picker: was given"),
        ({"config_users": [["{}"]]}, "--config-users: was given"),
        ({"stop_timeout": "120"}, "--stop-timeout: 120 s, at most 30 s"),
    ],
)
def test_options_of_locust_that_a_plan_cannot_heed_are_refused_by_name(given, text):
    """Silently ignored they would mislead."""
    options = {"class_picker": False, "config_users": None, "stop_timeout": "0"}
    refuse_options(Namespace(**options))
    with pytest.raises(LocustfileError, match=text):
        refuse_options(Namespace(**options | given))


def options(**changes):
    return Namespace(**{"tags": None, "exclude_tags": None, "user_classes": []} | changes)


def test_planned_class_of_weight_0_is_refused_and_told_why():
    """It is there, and Locust leaves it out."""

    class Idle(Reader):
        fixed_count = 0
        weight = 0

    said = sentence(with_others(make_plan(), Idle=2), Subscriber, Chatter, Idle)
    assert "the weight of Idle is 0, population.others plans 2 of it" in said


def test_kind_that_the_locustfile_lacks_is_added():
    """A locustfile may be about ordinary users alone."""
    names = [one.__name__ for one in classes_to_run([Browser], options(), "mine.py")]
    assert ["Subscriber", "Chatter", "Browser"] == names


def test_tags_take_tasks_and_never_the_connection():
    """``--tags`` is about what a user does besides being connected."""
    given = options(tags=["history"])
    environment = Environment(
        user_classes=classes_to_run([Browser], given, "mine.py"), tags=["history"]
    )
    environment._filter_tasks_by_tags()
    subscriber, _, browser = environment.user_classes
    assert [FanOutUser.live] == subscriber.tasks
    browser.fixed_count = 2
    with pytest.raises(LocustfileError, match="Browser has no task left after --tags"):
        require_tasks([browser], given, "mine.py")
    with pytest.raises(LocustfileError, match="Browser has no task, 2 of it are planned"):
        require_tasks([browser], options(), "mine.py")
    FanOutUser.live.locust_tag_set = set()


def test_plain_fan_out_class_stays_as_it_is():
    """Only what has code of its own waits for its turn in Locust's greenlet."""
    assert Subscriber is delayed(Subscriber)
    assert "Browser" == delayed(Browser).__name__
    assert delayed(Browser) is not Browser


class FakePopulation:
    def __init__(self):
        self.log = []
        self.context = SimpleNamespace(over=False, tried=Counter())

    def new_sessions(self, user_class):
        return [user_class]

    def await_turn(self, session):
        self.log.append("turn")

    def join_all(self, sessions):
        self.log.append("joined")

    def await_ordinary_turn(self, name):
        self.log.append(f"turn of {name}")
        return True


@pytest.fixture(name="population")
def _population(monkeypatch):
    population = FakePopulation()
    monkeypatch.setattr(FanOutUser, "population", population)
    return population


def lived(user_class, until, population):
    """Run one user until its log says so; return the log once it has been killed."""
    greenlet = gevent.spawn(delayed(user_class)(Environment()).run)
    with gevent.Timeout(PATIENCE_S):
        while until not in population.log:
            gevent.sleep(0.001)
    greenlet.kill()
    return population.log


def test_own_hooks_run_in_turn_around_the_connection(population):
    """A login comes before the join, and a logout at the end."""

    class Member(users.Subscriber):
        def on_start(self):
            population.log.append("login")

        def on_stop(self):
            population.log.append("logout")

    assert ["turn", "login", "joined", "logout"] == lived(Member, "joined", population)


def test_own_task_runs_beside_the_connection_and_its_exception_ends_neither(population):
    """Locust logs it, waits and goes on."""

    class Visitor(users.Subscriber):
        @task
        def page(self):
            population.log.append("page")
            if population.log.count("page") > 1:
                population.log.append("again")
                raise StopUser
            raise ValueError("no such page")

    log = lived(Visitor, "again", population)
    assert (["turn", "joined"], 2) == ([one for one in log if one in {"turn", "joined"}], 2)


def test_fan_out_user_can_be_an_http_user_too(population):
    """One person, a connection and pages."""

    class Visitor(users.Subscriber, HttpUser):
        host = "http://127.0.0.1:1"

        @task
        def page(self):
            population.log.append(type(self.client).__name__)

    assert "joined" in lived(Visitor, "HttpSession", population)


def test_ordinary_user_begins_in_its_turn(population):
    """Its own start comes after."""

    class Guest(User):
        def on_start(self):
            population.log.append("start")

        @task
        def read(self):
            population.log.append("read")

    class LateGuest(Guest):
        def on_start(self):
            super().on_start()
            population.log.append("late start")

    assert lived(LateGuest, "read", population)[:3] == ["turn of LateGuest", "start", "late start"]

    assert {"LateGuest": 1} == population.context.tried


def raising(error):
    """Return a start of a user that raises."""

    def begin(_):
        raise error

    return begin


@pytest.mark.parametrize(
    "begin",
    [
        *(raising(error) for error in (ValueError("no such account"), StopUser(), SystemExit(1))),
        *(User.stop, lambda _: gevent.sleep(600)),
    ],
    ids=["fails", "leaves", "exits", "stops", "waits for good"],
)
def test_ordinary_user_whose_own_start_does_not_succeed_does_not_count_as_started(
    population, begin
):
    """It has put no load on anything, so the run lacks it."""

    class Guest(User):
        def on_start(self):
            population.log.append("start")
            begin(self)

        @task
        def read(self):
            population.log.append("read")
            raise StopUser

    def live(user):
        with suppress(ValueError, RuntimeError):  # An exit is one of its user alone.
            user.run()

    greenlet = gevent.spawn(live, delayed(Guest)(Environment()))
    greenlet.join(timeout=0.2)
    greenlet.kill()
    assert ["turn of Guest", "start"] == population.log[:2]
    assert not population.context.tried


def test_fingerprint_tells_locustfiles_apart_by_their_classes():
    """The same file has the same."""
    assert fingerprint({"Browser": Browser}) == fingerprint({"Browser": Browser})
    assert fingerprint({"Browser": Browser}) != fingerprint({"Reader": Reader})
    assert LoadTestShape.__name__  # the module's own classes are what is compared
