import signal
from functools import partial

from tests.support.runs import LONG, after, after_each, apart
from tests.support.waiting import wait_for

STOPPING = "stopping in order; a second Ctrl-C stops at once"
INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM


def stopped_run(launcher, signum, workers=1):
    running = launcher.run(LONG, "--workers", workers).until_delivering(100)
    running.send(signum)
    return running.outcome()


interrupted_run = partial(stopped_run, signum=INTERRUPT)
terminated_run = partial(stopped_run, signum=TERMINATE, workers=2)


def twice_interrupted_run(launcher):
    running = launcher.run(LONG).until_delivering(100)
    running.send(INTERRUPT)
    wait_for(lambda: STOPPING in (running.folder / "locust.log").read_text("utf-8"), "the first")
    running.send(INTERRUPT)
    return running.outcome()


def stopped_locust(launcher, signum):
    running = launcher.locust(LONG, *apart(2)).until_delivering(100)
    running.send_to_all(signum)
    return running.outcome()


interrupted_locust = partial(stopped_locust, signum=INTERRUPT)
terminated_locust = partial(stopped_locust, signum=TERMINATE)


def twice_interrupted_locust(launcher):
    running = launcher.locust(LONG, *apart(2)).until_delivering(100)
    running.send_to_all(INTERRUPT)
    wait_for(lambda: STOPPING in running.read("stderr"), "the first")
    running.send_to_all(INTERRUPT)
    outcome = running.outcome()
    return outcome, launcher.harness("report", outcome.folder).outcome()


def interrupted_at_once(launcher):
    running = launcher.run(LONG)
    wait_for(lambda: running.pids("locust", "-f"), "the load process")
    running.send(INTERRUPT)
    return running.outcome()


def assert_stopped_in_order(outcome):
    """Assert that all accounts were taken before the end, and that the report tells of it."""
    assert (130, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.said
    cause = outcome.run["cause"]
    assert ("interrupted", "interrupted", 130) == (
        outcome.run["status"],
        cause["code"],
        cause["exit_code"],
    )
    assert "Interrupted after " in outcome.stdout
    assert (outcome.folder / "report.html").is_file()
    connections = outcome.table("connections")
    messages = outcome.table("messages")
    assert 100 == connections["joined"].sum()
    assert messages["owed"].sum() == messages["delivered"].sum() > 0


IN_ORDER = {
    "Ctrl-C": interrupted_run,
    "SIGTERM with several workers": terminated_run,
    "Ctrl-C of a terminal, to master and workers of plain Locust": interrupted_locust,
    "SIGTERM of a service manager, to all of plain Locust": terminated_locust,
}


@after_each(IN_ORDER, smoke=("Ctrl-C",))
def test_signal_ends_the_run_in_order(outcome, request):
    """The users hang up; what was measured is accounted for and reported."""
    assert_stopped_in_order(outcome)
    assert "Locust" in request.node.callspec.id or [] == outcome.errors


@after(twice_interrupted_run)
def test_second_interrupt_ends_the_run_at_once(outcome):
    """A second Ctrl-C does not wait for accounts; what was written until then is reported."""
    assert (130, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.said
    assert outcome.stdout.endswith(f"\nreport: {outcome.folder / 'report.html'}\n")
    assert 100 == outcome.summary["joins"]["succeeded"]


@after(twice_interrupted_locust)
def test_second_interrupt_ends_plain_locust_at_once(outcome):
    """The record it leaves is read by ``harness report``."""
    outcome, report = outcome
    assert (130, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.said
    assert "All 100 users joined" in report.stdout


@after(interrupted_at_once)
def test_interrupt_before_the_run_begins_leaves_nothing(outcome):
    """No second was measured, so there is no record and no folder."""
    assert (130, "", []) == (outcome.exit_code, outcome.stdout, outcome.left)
    assert "Traceback" not in outcome.stderr
    assert ["stderr", "stdout"] == sorted(path.name for path in outcome.folder.parent.iterdir())
