import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from harness.cli.load_process import LoadProcess, signals_held
from harness.core.errors import MachineError, ScenarioError
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S, wait_for

FAKE = ROOT / "tests/support/fake_load.py"


def start(folder: Path, ending: str) -> LoadProcess:
    return LoadProcess([sys.executable, str(FAKE), str(folder), ending], folder)


def ended(load: LoadProcess) -> int:
    status = load.wait(PATIENCE_S)
    assert status is not None
    return status


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_output_ends_up_in_the_runs_folder(tmp_path: Path) -> None:
    """What was printed before the folder existed is in its log, and nothing lies beside it."""
    folder = tmp_path / "reports" / "run"
    assert 0 == ended(start(folder, "ends"))
    assert "noise before the record\n" == (folder / "locust.log").read_text(encoding="utf-8")
    assert [folder] == list(folder.parent.iterdir())


def test_wait_returns_none_while_it_runs(tmp_path: Path) -> None:
    """A process that still runs has no exit status."""
    load = start(tmp_path / "run", "waits")
    with load.forwarding():
        assert load.wait(0.01) is None
        assert not load.interrupted


def test_error_is_what_the_process_reported(tmp_path: Path) -> None:
    """Sentence and hint come as data, and nothing of how they came is left."""
    load = start(tmp_path / "run", "refuses")
    assert 2 == ended(load)
    assert isinstance(load.error, ScenarioError)
    assert "scenario.toml a must be b, got c\nhint: do" == str(load.error)
    assert not Path(load._private.name).exists()


@pytest.mark.parametrize("ending", ["raises", "does nothing"])
def test_process_that_reported_nothing_has_no_error(tmp_path: Path, ending: str) -> None:
    """Whatever it printed is not taken for an error."""
    load = start(tmp_path / "run", ending)
    ended(load)
    assert load.error is None


@pytest.mark.parametrize("ending", ["refuses", "refuses half-way"])
def test_discarded_load_leaves_nothing(tmp_path: Path, ending: str) -> None:
    """Neither its output, nor a folder without a record, nor folders made for that."""
    load = start(tmp_path / "reports" / "today" / "run", ending)
    ended(load)
    load.discard()
    assert [] == list(tmp_path.iterdir())


def test_discarded_load_leaves_what_others_made(tmp_path: Path) -> None:
    """A run beside it keeps its folder."""
    load = start(tmp_path / "reports" / "run", "refuses")
    ended(load)
    (tmp_path / "reports" / "another").mkdir()
    load.discard()
    assert [tmp_path / "reports" / "another"] == list((tmp_path / "reports").iterdir())


@pytest.mark.parametrize(
    ("sent", "received"),
    [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGTERM")],
)
def test_first_signal_is_passed_on(tmp_path: Path, sent: signal.Signals, received: str) -> None:
    """The process is asked once to end in order, and ends with its own exit code."""
    folder = tmp_path / "run"
    load = start(folder, "waits")
    wait_for((folder / "run.json").is_file)
    load.forward(sent)
    assert 130 == ended(load)
    assert received == (folder / "stopped_by").read_text(encoding="utf-8")
    assert load.interrupted


def test_second_signal_ends_a_deaf_process(tmp_path: Path) -> None:
    """Who asks twice does not want to wait."""
    folder = tmp_path / "run"
    load = start(folder, "deaf")
    wait_for((folder / "run.json").is_file)
    load.forward(signal.SIGINT)
    load.forward(signal.SIGINT)
    assert -signal.SIGKILL == ended(load)


def test_left_child_is_ended_with_its_group(tmp_path: Path) -> None:
    """What the process started and left running does not outlive the run."""
    folder = tmp_path / "run"
    load = start(folder, "leaves a child")
    with load.forwarding():
        ended(load)
        child = int((folder / "child_pid").read_text(encoding="utf-8"))
        assert is_alive(child)
    wait_for(lambda: not is_alive(child))


def test_error_while_following_leaves_no_process(tmp_path: Path) -> None:
    """Whatever goes wrong in the parent, the load does not run on without it."""
    folder = tmp_path / "run"
    load = start(folder, "waits")
    with contextlib.suppress(ZeroDivisionError), load.forwarding():
        wait_for((folder / "run.json").is_file)
        _ = 1 / 0
    assert 130 == ended(load)


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    """After the run, Ctrl-C means what it meant before."""
    before = signal.getsignal(signal.SIGINT)
    load = start(tmp_path / "run", "refuses")
    with load.forwarding():
        assert load.forward == signal.getsignal(signal.SIGINT)
        ended(load)
    assert before == signal.getsignal(signal.SIGINT)


def test_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    """Under nohup a closed terminal does not end the run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        load = start(tmp_path / "run", "refuses")
        with load.forwarding():
            assert signal.SIG_IGN == signal.getsignal(signal.SIGHUP)
            ended(load)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A folder below a file is refused in one sentence before anything starts."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(MachineError) as caught:
        start(file / "run", "waits")
    expected = (
        f"{file}: cannot be written (file exists), the run's folder is created here\n"
        "hint: choose another --out"
    )
    assert expected == str(caught.value)


def test_signal_during_the_start_reaches_the_load_and_not_us(tmp_path: Path) -> None:
    """Between start and forwarding it waits; the load itself can be interrupted all the same."""
    waiting = ["sleep", "60"]
    with signals_held() as deliver:
        os.kill(os.getpid(), signal.SIGINT)
        load = LoadProcess(waiting, tmp_path / "run")
        with load.forwarding():
            deliver()
            assert -signal.SIGINT == load.wait(PATIENCE_S)
    assert load.interrupted


def test_signal_taken_by_another_thread_is_held_too(tmp_path: Path) -> None:
    """It is the process that is asked to stop, whichever of its threads the kernel picks."""
    release = threading.Event()
    other = threading.Thread(target=release.wait)
    other.start()
    try:
        with signals_held() as deliver:
            signal.pthread_kill(other.ident or 0, signal.SIGINT)
            load = start(tmp_path / "run", "waits")
            with load.forwarding():
                wait_for((tmp_path / "run" / "run.json").is_file)
                deliver()
                assert 130 == load.wait(PATIENCE_S)
    finally:
        release.set()
        other.join()


def test_signal_that_is_held_to_the_end_takes_its_usual_effect() -> None:
    """Nothing took it over, so Ctrl-C is Ctrl-C again."""
    with pytest.raises(KeyboardInterrupt), signals_held():
        signal.raise_signal(signal.SIGINT)
