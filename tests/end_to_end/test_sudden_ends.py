import signal

from tests.support.runs import LONG, after, apart

KILL = signal.SIGKILL


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


def full_disk_under_locust(launcher):
    return launcher.locust(LONG, limits="ulimit -f 16").outcome()


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


@after(full_disk_under_locust)
def test_full_disk_ends_plain_locust_in_one_sentence(outcome):
    """The same without our command."""
    found = f"error: {outcome.folder}: cannot be written (file too large)"
    assert [f"{found}, the run record needs a writable folder with room"] == outcome.errors
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert "Traceback" not in outcome.said
