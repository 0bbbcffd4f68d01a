import json
from functools import partial

from tests.support.distributed_runs import RunGroup, master_command, worker_command
from tests.support.ports import free_port
from tests.support.runs import ROOT, SHORT, after, after_each
from tests.support.web_server import PAGE, WebServer

MIXED = ROOT / "scenarios/workloads/mixed.toml"
LOCUSTFILE = ROOT / "locustfiles/mixed.py"
PLANNED = {"subscriber": 180, "chatter": 20, "Browser": 20}
SHORT_ONE = SHORT | {"phases.settle_s": 4.0, "phases.measure_s": 3.0}
"""With room for the joins of three workers that a busy machine starts one after the other."""
PATIENT = SHORT_ONE | {f"slos.{place}.limit": 60_000.0 for place in (1, 2)}
"""A busy machine answers late, and that is no fault here."""

UNJUDGED = SHORT_ONE | {"slos": "[]"}
POLLERS = """
from harness import Subscriber
class Poller(Subscriber):
    system = "polling"
"""

OWN_CODE = """
import os
from locust import HttpUser, constant, task
import harness


class Member(harness.Subscriber, HttpUser):
    host = os.environ["WEB_HOST"]
    wait_time = constant(0.5)

    def on_start(self):
        self.client.get("/login")

    def on_stop(self):
        self.client.get("/logout")

    @task
    def look(self):
        self.client.get("/beside")
        raise ValueError("no such page")


class Guest(HttpUser):
    host = os.environ["WEB_HOST"]
    wait_time = constant(0.5)

    @task
    def look(self):
        self.client.get("/page")

    def on_stop(self):
        self.client.get("/bye")
"""


def mixed(launcher, workers, settings=PATIENT, locustfile=LOCUSTFILE):
    """Run the mixed workload beside a website; return how it ended, and what the website saw."""
    with WebServer() as web:
        arguments = ("--workers", workers, "--locustfile", locustfile)
        running = launcher.run(settings, *arguments, workload=MIXED, WEB_HOST=web.url)
        return running.outcome(), web.counts


def assert_all_but_those_cut_off(counted, seen):
    """Users may be stopped in the middle of a request: one each, which only the website knows."""
    assert seen - PLANNED["Browser"] <= counted <= seen


MIXED_RUNS = {f"{workers} workers": partial(mixed, workers=workers) for workers in (1, 3)}


@after_each(MIXED_RUNS)
def test_all_planned_users_are_there_and_both_kinds_have_figures(outcome):
    """On any number of workers: users, requests, objectives, and the website saw the same."""
    outcome, seen = outcome
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    assert {"planned": PLANNED, "tried": PLANNED} == outcome.run["users"]
    summary = outcome.summary
    assert 200 == summary["joins"]["succeeded"]
    assert 0 == summary["deliveries"]["lost"] < summary["deliveries"]["owed"]
    requests = outcome.table("requests")
    made = requests.groupby("name")[["count", "failures", "bytes"]].sum()
    assert {"GET /", "GET /history"} == set(made.index)
    assert_all_but_those_cut_off(made["count"].sum(), seen["/"] + seen["/history"])
    assert (0, made["count"].sum() * len(PAGE)) == (made["failures"].sum(), made["bytes"].sum())
    measured = requests[requests["phase"] == "measure"]["count"].sum()
    assert measured == summary["requests"]["Aggregated"]["count"] > 0
    assert measured == summary["requests"]["Aggregated"]["latency_ms"]["count"]
    verdicts = {slo["metric"]: slo["verdict"] for slo in summary["slos"]}
    assert {"pass"} == set(verdicts.values())
    assert {"requests.GET /.latency_ms.p99", "deliveries.ratio"} <= verdicts.keys()
    assert "GET /history" in (outcome.folder / "report.html").read_text("utf-8")
    assert "requests.GET /" in (outcome.folder / "junit.xml").read_text("utf-8")
    assert "Requests" in outcome.stdout


def own_code(launcher):
    locustfile = launcher.new_folder() / "own_code.py"
    locustfile.write_text(OWN_CODE, "utf-8")
    others = {"population.others": "{Guest=5}", "population.subscribers": 20}
    return mixed(launcher, 2, UNJUDGED | others, locustfile)


@after(own_code)
def test_code_of_ones_own_runs_beside_the_connection(outcome):
    """Login, pages and logout of the same users who listen; what they raise ends nothing."""
    outcome, seen = outcome
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    assert {"subscriber": 20, "chatter": 20, "Guest": 5} == outcome.run["users"]["tried"]
    assert (20, 20, 5) == (seen["/login"], seen["/logout"], seen["/bye"])
    assert seen["/beside"] >= 40
    assert 0 == outcome.summary["deliveries"]["lost"]
    found = outcome.table("errors").groupby(["stage", "error_class", "code"])["count"].sum()
    assert 20 == found["request", "HTTPError", "503"]
    assert_all_but_those_cut_off(found["task", "ValueError", ""], seen["/beside"])
    requests = outcome.table("requests")
    assert 20 == requests[requests["name"] == "GET /logout"]["count"].sum()


def apart(launcher, *locustfiles):
    """Run on two workers started by hand, each with a locustfile of its own, or none."""
    with WebServer() as web, RunGroup(launcher) as group:
        port = free_port()
        others = {"population.others": "{Browser=4}"}
        own = ("--locustfile", LOCUSTFILE)
        group.begin(master_command(others, port, *own), WEB_HOST=web.url)
        for locustfile in locustfiles:
            given = ("--locustfile", locustfile) if locustfile else ()
            group.begin((*worker_command(port), *given), WEB_HOST=web.url)
        return group.outcomes()


def equal_ones(launcher):
    return apart(launcher, LOCUSTFILE, LOCUSTFILE)


def an_unequal_one(launcher):
    # By itself: the master ends as soon as it has come, and another would look for it in vain.
    return apart(launcher, None)


@after(equal_ones)
def test_workers_elsewhere_run_the_same_locustfile(outcome):
    """Each is given it, as the master is."""
    assert [0, 0, 0] == [one.exit_code for one in outcome]
    assert 4 == outcome[0].run["users"]["tried"]["Browser"]


@after(an_unequal_one)
def test_worker_with_another_locustfile_is_refused_by_name(outcome):
    """Its users would not be those of the plan."""
    master, *_ = outcome
    assert 2 == master.exit_code
    wrong = f"): uses no --locustfile, the master uses --locustfile {LOCUSTFILE.name}\n"
    assert wrong in master.stderr
    assert not master.folder.exists()


BAD = {
    "import gone_module\n": ", line 1: raises ModuleNotFoundError: No module named 'gone_module'",
    POLLERS: ": Poller is for polling, the target's system is appsync-events",
    "from locust import User\nclass Guest(User):\n    pass\n": (
        ": has no ordinary User class Browser, population.others plans 20 of it"
    ),
}


def bad(launcher, text):
    locustfile = launcher.new_folder() / "bad_one.py"
    locustfile.write_text(text, "utf-8")
    return launcher.run({}, "--locustfile", locustfile, workload=MIXED).outcome(), locustfile


BAD_RUNS = {sentence: partial(bad, text=text) for text, sentence in BAD.items()}


@after_each(BAD_RUNS)
def test_bad_locustfile_is_one_sentence_and_no_folder(outcome, request):
    """Exit 2, at the user's own line, and nothing is left behind."""
    outcome, locustfile = outcome
    sentence = request.node.callspec.id
    assert (2, False) == (outcome.exit_code, outcome.folder.exists())
    (error,) = outcome.errors
    assert error.startswith(f"error: {locustfile}{sentence}")
    assert "Traceback" not in outcome.said


def trick(launcher):
    """Have one subscriber that never tries: its own start parks it."""
    locustfile = launcher.new_folder() / "lazy.py"
    locustfile.write_text(
        "import gevent\n"
        "from harness import Subscriber\n\n"
        "class Lazy(Subscriber):\n"
        "    begun = []\n\n"
        "    def on_start(self):\n"
        "        self.begun.append(1)\n"
        "        if len(self.begun) == 1:\n"
        "            gevent.sleep(600)\n",
        "utf-8",
    )
    return mixed(launcher, 1, UNJUDGED | {"population.others": "{}"}, locustfile)[0]


@after(trick)
def test_run_with_fewer_users_than_planned_is_invalid(outcome):
    """Whatever the cause: the load was not the one that was planned."""
    assert 4 == outcome.exit_code
    assert "invalid" == outcome.summary["verdict"]
    codes = {warning["code"]: warning["hint"] for warning in outcome.summary["warnings"]}
    assert "1 of 180 planned subscribers did not start" in codes["users_missing"]
    assert "1 of 180 planned subscribers did not start" in outcome.stdout
    assert "users_missing" in json.dumps(outcome.run)


def quitter(launcher):
    """Have an ordinary user that ends the run from inside a worker."""
    locustfile = launcher.new_folder() / "quitter.py"
    locustfile.write_text(
        "import gevent\n"
        "from locust import User, task\n\n"
        "class Browser(User):\n"
        "    @task\n"
        "    def leave(self):\n"
        "        gevent.spawn(self.environment.runner.quit)\n"
        "        gevent.sleep(600)\n",
        "utf-8",
    )
    return mixed(launcher, 2, UNJUDGED, locustfile)[0]


@after(quitter)
def test_run_that_a_user_class_ends_is_not_told_as_stopped_by_hand(outcome):
    """Nobody pressed Ctrl-C."""
    assert (4, "aborted") == (outcome.exit_code, outcome.run["status"])
    assert "stopped_by_user_class" == outcome.run["cause"]["code"]
    assert "by hand" not in outcome.said
