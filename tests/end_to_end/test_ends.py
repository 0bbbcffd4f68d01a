"""Ends that a user meets: docs/operating.md has a table of them, and each row of it is tried.

Each has one sentence and the right exit code, comes soon, and leaves neither traceback nor process.
"""

import re
import signal
import time

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.runs import (
    EMULATED,
    LOCUSTFILE,
    LONG,
    SHORT,
    SMOKE,
    after,
    after_each,
    apart,
    elsewhere,
)
from tests.support.waiting import wait_for

KILL = signal.SIGKILL
STREAMED = ROOT / "scenarios" / "targets" / "server-sent-events-emulated.toml"
STILLBORN = """
from harness.load.locustfile import Chatter, Subscriber
from harness.systems.appsync_events.client import api as client

def no_api(access):
    raise RuntimeError("no such luck")

client.AppSyncEventsApi = no_api
"""
JOINING = LONG | {"joins.rate_per_s": 5.0}


def begun(running):
    """Wait for the record of a run, which is there before its first user joins."""
    wait_for((running.folder / "run.json").is_file, "the record")
    return running


def passing(launcher):
    return launcher.run(SHORT, PYTHONIOENCODING="ascii").outcome()


def failing(launcher):
    return launcher.run(SHORT | {"slos.2.limit": 0.001}).outcome()


def wrong_value(launcher):
    return launcher.run({"joins.rate_per_s": -5}).outcome()


def closed_port(launcher):
    target = launcher.new_folder() / "target.toml"
    target.write_text(elsewhere(f"http://127.0.0.1:{free_port()}/event"), encoding="utf-8")
    return launcher.run(SHORT, target=target, END_TO_END_KEY="da2-any").outcome()


def interrupted(launcher):
    running = launcher.run(LONG).until_second(1)
    running.send(signal.SIGINT)
    return running.outcome()


def lost_emulator(launcher):
    running = launcher.run(LONG).until_second(1)
    running.send(KILL, running.emulator())
    return running.outcome()


def lost_waiting_worker(launcher):
    running = launcher.run(SHORT, "--workers", 2)
    running.send(KILL, wait_for(running.workers, "a worker")[0])
    return running.outcome()


def lost_joining_worker(launcher):
    running = begun(launcher.run(JOINING, "--workers", 2))
    running.send(KILL, running.workers()[1])
    return running.outcome()


def stillborn_workers(launcher):
    locustfile = launcher.new_folder() / LOCUSTFILE.name
    locustfile.write_text(STILLBORN, encoding="utf-8")
    return launcher.locust(LONG, *apart(2), locustfile=locustfile).outcome()


def lost_master(launcher):
    running = begun(launcher.run(LONG, target=STREAMED))
    running.send(KILL, running.master())
    return running.outcome()


def report_of_lost_master(launcher):
    return launcher.harness("report", lost_master(launcher).folder).outcome()


def lost_report(launcher):
    running = launcher.locust(SHORT)
    while running.process.poll() is None:
        if found := running.pids("report", str(running.folder)):
            running.send(KILL, found[0])
            break
        time.sleep(0.05)
    return running.outcome()


def full_disk_at_the_start(launcher):
    return launcher.run(SHORT, limits="ulimit -f 1").outcome()


def full_disk(launcher):
    return launcher.run(LONG, limits="ulimit -f 16").outcome()


def full_output(launcher):
    return launcher.run(SHORT, limits="exec > /dev/full").outcome()


def unread_output(launcher):
    return launcher.run(SHORT, limits="exec > >(:); wait $!").outcome()


def deleted_folder(launcher):
    gone = 'gone="$(mktemp -d)"; cd "$gone"; rmdir "$gone"'
    return launcher.run(SHORT, limits=gone).outcome()


def long_name(launcher):
    command = ("run", SMOKE, "--target", EMULATED, "--out", "a" * 300)
    return launcher.harness(*command).outcome()


ENDS = {
    "every objective is met": passing,
    "an objective is not met": failing,
    "a value in a file or an option is wrong": wrong_value,
    "the target accepts no connection": closed_port,
    "Ctrl-C": interrupted,
    "the emulator is killed": lost_emulator,
    "a worker is killed before the run begins": lost_waiting_worker,
    "a worker is killed while users join": lost_joining_worker,
    "an exception in a worker before it starts": stillborn_workers,
    "the master is killed": lost_master,
    "`harness report` of its record": report_of_lost_master,
    "the report of plain Locust is killed": lost_report,
    "the disk is full at the first write": full_disk_at_the_start,
    "the disk is full during the run": full_disk,
    "the disk of standard output is full": full_output,
    "the reader of standard output has left, as `head` does": unread_output,
    "the working directory was deleted": deleted_folder,
    "a file name is too long": long_name,
}


def documented():
    """Return the exit code and the sentence of each row of the table."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    table = text.partition("## How a run ends\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {end: (int(code), sentence.strip("`")) for end, sentence, code in rows[2:]}


def test_each_end_in_the_table_is_tried():
    """No row is a mere promise."""
    assert list(documented()) == list(ENDS)


@after_each(ENDS)
def test_end_has_its_sentence_and_its_exit_code(outcome, request):
    """What the table says, and Pass is said where the exit code is 0 alone."""
    code, sentence = documented()[request.node.callspec.id]
    shown = " ".join((outcome.stdout + outcome.stderr).split())
    assert (code, []) == (outcome.exit_code, outcome.left), outcome.said
    assert re.search(re.escape(sentence).replace("…", ".*"), shown), shown
    assert "Traceback" not in outcome.stdout + outcome.stderr or code == 1
    assert len(outcome.errors) <= 1, outcome.errors
    if code:
        assert "Pass ci-smoke" not in shown


@after(lost_emulator)
def test_dead_emulator_is_told_once_with_its_last_words(outcome):
    """The cause in the record is the same."""
    assert "emulator_died" == outcome.run["cause"]["code"]
    sentence = outcome.run["cause"]["message"]
    assert sentence.startswith("the emulator died during the run: emulator process ")
    assert "(status -9)" in sentence
    assert 1 == outcome.stdout.count("The emulator died during the run: ")


@after(stillborn_workers)
def test_worker_that_cannot_start_shows_its_traceback_once(outcome):
    """A bug in a system's client is told in its own words."""
    cause = outcome.run["cause"]
    assert "worker_failed" == cause["code"]
    assert cause["message"] in {f"worker {n} could not start: no such luck" for n in (0, 1)}
    assert [f"error: {cause['message']}"] == outcome.errors
    assert outcome.stderr.count("RuntimeError: no such luck") in {1, 2}


@after(full_disk)
def test_record_of_a_full_disk_is_read_once_there_is_room(outcome, launcher):
    """What fitted is read."""
    report = launcher.harness("report", outcome.folder).outcome()
    assert f"hint: free some space, then run: harness report {outcome.folder}\n" in outcome.stderr
    assert "All 100 users joined" in report.stdout


@after(full_output)
def test_record_is_complete_where_the_verdict_could_not_be_printed(outcome):
    """The command alone has failed."""
    assert "pass" == outcome.summary["verdict"]
