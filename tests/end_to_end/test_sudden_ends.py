import signal

from tests.support.paths import ROOT
from tests.support.runs import LOCUSTFILE, LONG, SHORT, after, apart
from tests.support.waiting import wait_for

STREAMED = ROOT / "scenarios" / "targets" / "server-sent-events-emulated.toml"

KILL = signal.SIGKILL
STILLBORN = """
from harness.load.locustfile import Chatter, Subscriber
from harness.systems.appsync_events.client import api as client

def no_api(access):
    raise RuntimeError("no such luck")

client.AppSyncEventsApi = no_api
"""


def lost_emulator(launcher):
    running = launcher.run(LONG).until_second(2)
    running.send(KILL, running.emulator())
    return running.outcome()


def lost_worker(launcher):
    running = launcher.run(LONG, "--workers", 2).until_second(2)
    lost = running.workers()[1]
    running.send(KILL, lost)
    return running.outcome(), lost


def lost_locust(launcher):
    running = launcher.locust(LONG, *apart(2)).until_delivering(100).until_second(5)
    running.send(KILL)
    outcome = running.outcome()
    summarised = "summary" in outcome.run
    return outcome, summarised, launcher.harness("report", outcome.folder).outcome()


def full_disk(launcher):
    # A file may not grow past 16 KiB: to the writer the same as a disk that is full.
    outcome = launcher.run(LONG, limits="ulimit -f 16").outcome()
    return outcome, launcher.harness("report", outcome.folder).outcome()


def full_disk_under_locust(launcher):
    return launcher.locust(LONG, limits="ulimit -f 16").outcome()


def lost_master(launcher):
    running = launcher.run(LONG, target=STREAMED)
    wait_for((running.folder / "run.json").is_file, "the record")
    running.send(KILL, running.master())
    outcome = running.outcome()
    return outcome, launcher.harness("report", outcome.folder).outcome()


def lost_joining_worker(launcher):
    running = launcher.run(LONG | {"joins.rate_per_s": 5.0}, "--workers", 2)
    wait_for((running.folder / "run.json").is_file, "the record")
    running.send(KILL, running.workers()[1])
    return running.outcome()


def lost_report(launcher):
    running = launcher.run(SHORT)
    wait_for(lambda: "writing the report" in running.read("stderr"), "the report")
    running.send(KILL)
    outcome = running.outcome()
    return outcome, launcher.harness("report", outcome.folder).outcome()


def unread_output(launcher):
    return launcher.run(SHORT, limits="exec > >(:); wait $!").outcome()


def output_on_a_full_disk(launcher):
    return launcher.run(SHORT, limits="exec > /dev/full").outcome()


def stillborn_workers(launcher):
    locustfile = launcher.new_folder() / LOCUSTFILE.name
    locustfile.write_text(STILLBORN, encoding="utf-8")
    return launcher.locust(LONG, *apart(2), locustfile=locustfile).outcome()


@after(lost_emulator)
def test_dead_emulator_ends_the_run(outcome):
    """The emulator is killed: exit 4, and its last words in one sentence."""
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert "emulator_died" == outcome.run["cause"]["code"]
    sentence = outcome.run["cause"]["message"]
    assert sentence.startswith("the emulator died during the run: emulator process ")
    assert "(status -9)" in sentence
    assert 1 == outcome.stdout.count("The emulator died during the run: ")
    assert "Traceback" not in outcome.said


@after(lost_worker)
def test_dead_worker_ends_the_run(outcome):
    """A worker is killed: exit 4, and the worker is named in one sentence."""
    outcome, lost = outcome
    assert (4, []) == (outcome.exit_code, outcome.left)
    sentence = f"worker {{}} (process {lost}) ended before the run did"
    assert outcome.run["cause"]["message"] in {sentence.format(0), sentence.format(1)}
    assert 1 == outcome.stdout.count(f"(process {lost}) ended before the run did")
    assert "worker_lost" == outcome.run["cause"]["code"]
    found = {each["code"]: each["invalidates"] for each in outcome.summary["warnings"]}
    assert found["run_cut_short"]
    assert "connections_missing" in found
    assert "Traceback" not in outcome.said


@after(lost_locust)
def test_record_of_killed_locust_is_read_by_report(outcome):
    """Without our command nobody is left to report; ``harness report`` does it afterwards."""
    outcome, summarised, report = outcome
    assert (-9, []) == (outcome.exit_code, outcome.left)
    assert not summarised
    assert (4, "") == (report.exit_code, report.stderr)
    assert "! Invalid ci-smoke on appsync-events-emulated\n" in report.stdout
    assert 100 == outcome.summary["joins"]["succeeded"]
    assert outcome.summary["deliveries"]["received"] > 0


@after(lost_master)
def test_master_killed_at_the_start_leaves_a_record_that_can_be_judged(outcome):
    """The command says so and judges it, and so does ``harness report`` afterwards."""
    outcome, report = outcome
    assert (1, []) == (outcome.exit_code, outcome.left)
    assert ["error: load process: was killed by signal 9, it must run until the end"] == (
        outcome.errors
    )
    assert (4, "") == (report.exit_code, report.stderr)
    for stdout in (outcome.stdout, report.stdout):
        assert stdout.startswith("! Invalid ci-smoke on server-sent-events-emulated\n")
    assert "Traceback" not in outcome.said + report.said


@after(lost_joining_worker)
def test_worker_killed_while_users_join_ends_the_run(outcome):
    """The run does not wait for the users that will never come."""
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert "worker_lost" == outcome.run["cause"]["code"]
    assert "ended before the run did" in outcome.run["cause"]["message"]
    assert "! Invalid" in outcome.stdout
    assert "Traceback" not in outcome.said


@after(lost_report)
def test_command_killed_while_it_reports_says_no_verdict(outcome):
    """The record is complete, and ``harness report`` makes the report from it."""
    outcome, report = outcome
    assert outcome.exit_code in {-9, 0}, "killed, unless it was faster"
    assert ("Pass" in outcome.stdout) == (outcome.exit_code == 0)
    assert (0, "") == (report.exit_code, report.stderr), report.stdout
    assert report.stdout.startswith("✓ Pass ci-smoke")


@after(unread_output)
def test_run_whose_output_nothing_reads_passes(outcome):
    """``harness run … | head`` has the exit code of the verdict."""
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    assert "pass" == outcome.summary["verdict"]


@after(output_on_a_full_disk)
def test_run_whose_verdict_cannot_be_written_does_not_pass(outcome):
    """The record is complete; the command says that it could not print the verdict."""
    assert (2, []) == (outcome.exit_code, outcome.left)
    (sentence,) = outcome.errors
    assert sentence.startswith("error: standard output: cannot be used (no space left on device)")
    assert "Traceback" not in outcome.said
    assert "pass" == outcome.summary["verdict"]


@after(full_disk)
def test_full_disk_ends_the_run_in_one_sentence(outcome):
    """No room for the record: exit 4 and one error; once there is room, what fitted is read."""
    outcome, report = outcome
    folder = outcome.folder
    found = f"error: {folder}: cannot be written (file too large)"
    assert [f"{found}, the run record needs a writable folder with room"] == outcome.errors
    assert f"hint: free some space, then run: harness report {folder}\n" in outcome.stderr
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.stdout + outcome.stderr
    assert "All 100 users joined" in report.stdout


@after(full_disk_under_locust)
def test_full_disk_ends_plain_locust_in_one_sentence(outcome):
    """The same without our command."""
    found = f"error: {outcome.folder}: cannot be written (file too large)"
    assert [f"{found}, the run record needs a writable folder with room"] == outcome.errors
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.said


@after(stillborn_workers)
def test_worker_that_cannot_start_ends_the_run(outcome):
    """A bug in a system's client: exit 1 with its words, and its traceback once for each worker."""
    assert (1, []) == (outcome.exit_code, outcome.left)
    cause = outcome.run["cause"]
    assert "worker_failed" == cause["code"]
    assert cause["message"] in {f"worker {n} could not start: no such luck" for n in (0, 1)}
    assert [f"error: {cause['message']}"] == outcome.errors
    assert outcome.stderr.count("RuntimeError: no such luck") in {1, 2}
