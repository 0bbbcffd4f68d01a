import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.analysis.public import RunRecord
from harness.cli import running
from harness.core.errors import HarnessError, TargetUnreachableError
from harness.core.exit_codes import ExitCode
from harness.scenario.loading import load_plan

WORKLOAD, TARGET = "ci-smoke", "appsync-events-emulated"
SAYS_AND_ENDS = "import sys; print(sys.argv[1], file=sys.stderr); sys.exit(int(sys.argv[2]))"


def test_plan_is_that_of_the_command_line():
    """Values of a mapping are what they are in Python."""
    values = {"publishing.rate_per_s": 2, "target.emulator.tls": True, "description": "a = b"}
    found = running.load_plan(WORKLOAD, TARGET, overrides=values)
    assert (2.0, "a = b") == (found.workload.publishing.rate_per_s, found.workload.description)
    assert found.target.emulator.tls
    files = Path(found.workload_file), Path(found.target_file)
    assert found == load_plan(
        *files,
        overrides=[*("publishing.rate_per_s=2", "target.emulator.tls=true", 'description="a = b"')],
    )
    assert found == running.load_plan(*files, overrides=running._assignments(values))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"overrides": "a=1"}, "overrides must be a mapping or a list, got a=1"),
        ({"overrides": {"joins.rate_per_s": -1}}, r"joins\.rate_per_s must be"),
        ({"label": "a\nb"}, "--label must have no control characters"),
        ({"locustfile": "nowhere.py"}, "nowhere.py: does not exist"),
        ({"workers": 0}, "Invalid value for '--workers'"),
        ({"target": "nowhere"}, "nowhere must be a file that exists"),
    ],
)
def test_what_the_command_line_refuses_raises_in_its_words(tmp_path, changes, said):
    """One sentence, exit code 2, and nothing is left behind."""
    given = {"target": TARGET, "out": tmp_path / "reports" / "run"} | changes
    with pytest.raises(HarnessError, match=said) as caught:
        running.run(WORKLOAD, **given)
    assert ExitCode.BAD_USAGE == caught.value.exit_code
    assert [] == list(tmp_path.iterdir())


def test_folder_that_exists_is_refused_and_stays(tmp_path):
    """An earlier record is never taken for that of this run."""
    with pytest.raises(HarnessError, match="exists already"):
        running.run(WORKLOAD, TARGET, out=tmp_path)
    assert tmp_path.is_dir()


@pytest.mark.parametrize(
    ("said", "code", "error", "sentence"),
    [
        ("error: a: b, c\nhint: d", 1, HarnessError, "a: b, c\nhint: d"),
        ("", 7, HarnessError, "the run failed"),
        ("error: nobody got in", 5, TargetUnreachableError, "target: nobody got in"),
    ],
)
def test_failure_without_a_report_is_told_by_what_was_said_last(
    tmp_path, said, code, error, sentence
):
    """A run without a record never passes for one."""
    command = [sys.executable, "-c", SAYS_AND_ENDS, said, str(code)]
    with pytest.raises(error) as caught:
        running._run_to_its_end(command, tmp_path / "run")
    assert str(caught.value).startswith(sentence)
    assert (code if code < 7 else 1) == caught.value.exit_code


class Interrupted(subprocess.Popen[str]):
    """A child whose caller is interrupted while it waits."""

    def __init__(self, code):
        super().__init__([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert self.stdout.readline() == "ready\n"
        self.waits = 0

    def wait(self, timeout=None):
        self.waits += 1
        if self.waits == 1:
            raise KeyboardInterrupt
        return super().wait(timeout)


def test_interrupt_ends_the_run_in_order_and_is_raised_again():
    """The child gets SIGINT once, and has all the time that it needs."""
    code = (
        "import time\n"
        "try:\n print('ready', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n time.sleep(0.2); raise SystemExit(130)\n"
    )
    with Interrupted(code) as child:
        with pytest.raises(KeyboardInterrupt):
            running._wait(child)
        assert (2, 130) == (child.waits, child.returncode)


@pytest.mark.slow
def test_run_from_a_thread_returns_the_record_and_leaves_signals_alone(tmp_path):
    """As in a notebook, whose cells need not be on the main thread."""
    before = signal.getsignal(signal.SIGINT)
    records: list[RunRecord] = []

    def work():
        changes = ["phases.measure_s=2.0"]
        records.append(
            running.run(WORKLOAD, TARGET, overrides=changes, out=tmp_path / "run", workers=2)
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (record,) = records
    assert 2.0 == record.plan["workload"]["phases"]["measure_s"]
    assert len(record.messages) > 0
    assert before is signal.getsignal(signal.SIGINT)
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.slow
def test_target_that_cannot_be_reached_raises_with_exit_code_5(tmp_path, unused_target):
    """There is no run to speak of."""
    with pytest.raises(HarnessError) as caught:
        running.run(WORKLOAD, unused_target, out=tmp_path / "run")
    assert ExitCode.TARGET_UNREACHABLE == caught.value.exit_code


@pytest.fixture
def unused_target(tmp_path):
    """A target at a port of this machine where nothing listens."""
    file = tmp_path / "target.toml"
    file.write_text(
        'name = "gone"\nsystem = "server-sent-events"\n'
        '[endpoints]\nhttp = "http://127.0.0.1:1/"\nrealtime = "http://127.0.0.1:1/"\n'
        '[auth]\nmode = "none"\n',
        encoding="utf-8",
    )
    return file
