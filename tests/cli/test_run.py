import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from harness.analysis.run.finalize import analyse
from harness.cli import app
from harness.cli import run as verb
from harness.cli.budget import Budget
from harness.cli.load_process import LoadProcess
from harness.cli.options import PACKAGED_LOCUSTFILE
from harness.core.errors import MachineError, ScenarioError
from harness.scenario.loading import load_plan
from harness.scenario.plan import Plan
from harness.scenario.resolved import decode_plan
from tests.support.paths import ROOT
from tests.support.records import three_subscribers
from tests.support.waiting import PATIENCE_S, wait_for

FAKE = ROOT / "tests/support/fake_load.py"
WORKLOAD = ROOT / "scenarios" / "workloads" / "quickstart.toml"
TARGET = ROOT / "scenarios" / "targets" / "appsync-events-emulated.toml"


@pytest.fixture
def plan():
    return load_plan(WORKLOAD, TARGET)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Returns the folder in which all temporary files are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def reported(monkeypatch):
    """Collects the folders that were reported on."""
    folders: list[Path] = []

    def note(folder: Path) -> int:
        folders.append(folder)
        return 4

    monkeypatch.setattr(verb, "show_report", note)
    return folders


def run_fake(plan: Plan, folder: Path, ending: str) -> int:
    return verb.run_load([sys.executable, str(FAKE), str(folder), ending], plan, folder)


def test_verdict_of_the_report_is_the_exit_code(tmp_path, plan, reported, capsys):
    """The run shows progress on stderr, reports once and ends with what that makes of it."""
    folder = tmp_path / "run"
    assert 4 == run_fake(plan, folder, "ends")
    assert [folder] == reported
    said = capsys.readouterr()
    assert "3 s of 30 s | measure | 10 of 1,000 connected" in said.err
    assert "" == said.out


def test_load_that_refuses_says_why(tmp_path, plan, reported, capsys):
    """An error before there is a record is shown as it is, with its own exit code."""
    assert 2 == run_fake(plan, tmp_path / "reports" / "run", "refuses")
    assert [] == reported
    assert "error: scenario.toml a must be b, got c\nhint: do\n" == capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())


def test_killed_load_is_named_and_its_record_reported(tmp_path, plan, reported, capsys):
    """A load process that is killed leaves one sentence, its output, a report and exit code 1."""
    folder = tmp_path / "run"
    assert 1 == run_fake(plan, folder, "killed")
    assert [folder] == reported
    said = capsys.readouterr().err
    expected = (
        "error: load process: was killed by signal 9, it must run until the end\n"
        f"hint: its output is in {folder / 'locust.log'}\n"
    )
    assert said.endswith(expected)
    log = (folder / "locust.log").read_text(encoding="utf-8")
    assert "noise before the record\nthe last line\n" == log


@pytest.mark.parametrize("status", [-9, 1])
def test_load_that_dies_after_a_complete_run_does_not_pass(tmp_path, capfd, status):
    """The verdict and the exit code say the same, also later."""
    folder = three_subscribers(tmp_path / "run")
    load = LoadProcess([sys.executable, "-c", ""], folder)
    load.wait(PATIENCE_S)
    assert 1 == verb.conclude(load, status, folder)
    said = capfd.readouterr()
    assert said.err.startswith("error: load process: ")
    assert said.out.startswith("! Invalid")
    assert 1 == analyse(folder).summary["exit_code"]


@pytest.mark.parametrize(("ending", "code"), [("does nothing", 0), ("raises", 1)])
def test_load_without_a_record_never_passes(
    tmp_path, plan, reported, capsys, temporary, ending, code
):
    """A load that ends before there is a record is an error; its output is kept, but elsewhere."""
    assert 1 == run_fake(plan, tmp_path / "reports" / "run", ending)
    assert [] == reported
    assert [temporary] == list(tmp_path.iterdir())
    (log,) = temporary.iterdir()
    expected = (
        f"error: load process: ended with exit code {code}, it must run until the end\n"
        f"hint: its output is in {log}\n"
    )
    assert expected == capsys.readouterr().err
    assert log.read_text(encoding="utf-8").startswith("noise before the record\n")


@pytest.mark.parametrize(
    ("status", "interrupted", "expected"),
    [
        *((0, False, 4), (5, False, 5), (-9, False, 1), (-9, True, 130), (130, True, 130)),
        *((5, True, 5), (3, False, 4)),
    ],
)
def test_exit_code_by_how_the_load_ended(tmp_path, reported, status, interrupted, expected):
    """The report judges a whole run, also one that an objective stopped, with 3.

    A killed load is a bug unless the user asked for it.
    """
    folder = tmp_path / "run"
    load = LoadProcess([sys.executable, str(FAKE), str(folder), "ends"], folder)
    load.wait(PATIENCE_S)
    load._signals = int(interrupted)
    assert expected == verb.conclude(load, status, folder)


def test_command_carries_flags_and_locust_arguments():
    """Locust gets its own options, and neither of the files: the plan is all it needs."""
    command = verb.load_command(Path("out"), 2, ["--csv=x"])
    expected = [
        *(sys.executable, "-P", "-m", "harness.load.start"),
        *("-f", str(PACKAGED_LOCUSTFILE), "--headless"),
        *("--out", "out", "--processes", "2"),
    ]
    assert expected == command[: len(expected)]
    assert command[-1] == "--csv=x"


def test_workers_of_one_run_meet_where_no_other_run_does():
    """Two runs on one machine must not share Locust's default port."""
    ports = set()
    for _ in range(2):
        flags = dict(pairwise(verb.load_command(Path("out"), 2, [])))
        assert flags["--master-port"] == flags["--master-bind-port"]
        assert flags["--master-bind-host"] == "127.0.0.1"
        ports.add(flags["--master-port"])
    assert len(ports) == 2


def test_one_worker_needs_no_processes_option():
    """A single worker is Locust's own process."""
    assert "--processes" not in verb.load_command(Path("out"), 1, [])


def test_edit_of_a_file_after_it_was_read_changes_nothing(tmp_path, reported, temporary):
    """The load gets the plan itself, in a private file that goes with the run."""
    workload, target = tmp_path / "workload.toml", tmp_path / "target.toml"
    shutil.copyfile(WORKLOAD, workload)
    shutil.copyfile(TARGET, target)
    plan = load_plan(workload, target)
    workload.write_text("edited", encoding="utf-8")
    target.unlink()
    run_fake(plan, tmp_path / "run", "ends")
    given = json.loads((tmp_path / "run" / "given.json").read_bytes())
    assert plan == decode_plan(given["plan"].encode())
    assert [0o600, temporary] == [given["mode"], Path(given["file"]).parent]
    assert [] == list(temporary.iterdir())


def test_existing_folder_is_refused(tmp_path):
    """A record is never overwritten."""
    with pytest.raises(MachineError) as caught:
        verb.run(WORKLOAD, TARGET, out=tmp_path)
    expected = f"{tmp_path}: exists already, a run's folder must be new\nhint: choose another --out"
    assert expected == str(caught.value)


def test_bad_override_is_refused_before_anything_starts(tmp_path):
    """All is validated first; a refused run makes no folder."""
    with pytest.raises(ScenarioError):
        verb.run(WORKLOAD, TARGET, out=tmp_path / "run", overrides=["publishing.rate_per_s=-1"])
    assert [] == list(tmp_path.iterdir())


def test_run_hands_its_exit_code_to_the_command(tmp_path, monkeypatch):
    """The verb ends with the code of the load, whatever it is."""
    monkeypatch.setattr(verb, "run_load", lambda command, plan, folder, **_: 4)
    with pytest.raises(typer.Exit) as caught:
        verb.run(WORKLOAD, TARGET, out=tmp_path / "run")
    assert 4 == caught.value.exit_code


DRIVER = """
import sys
from harness.cli import app, run
run.load_command = lambda folder, *rest: [sys.executable, {fake!r}, str(folder), "waits"]
run.show_report = lambda folder: print("reported", folder.name) or 0
app.main()
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_still_reports(tmp_path, signum):
    """Ctrl-C and SIGTERM end the load in order, report what there is and give exit code 130."""
    folder = tmp_path / "run"
    program = DRIVER.format(fake=str(FAKE))
    arguments = ["run", str(WORKLOAD), "--target", str(TARGET), "--out", str(folder)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for((folder / "run.json").is_file)
        os.kill(process.pid, signum)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (130, "reported run\n") == (process.returncode, out)
    assert "Traceback" not in err


def test_run_that_has_cost_more_than_it_may_is_ended_in_order(tmp_path, plan, reported, capsys):
    """As by Ctrl-C, with one sentence; what was measured is reported."""
    folder = tmp_path / "run"
    command = [sys.executable, str(FAKE), str(folder), "waits"]
    assert 130 == verb.run_load(command, plan, folder, budget=Budget(plan, 1e-9))
    assert ("SIGINT", [folder]) == ((folder / "stopped_by").read_text(), reported)
    said = capsys.readouterr().err
    assert 1 == said.count("error: --max-usd: the run has cost about $0.000000, at most $0.000000")


def test_report_is_made_once_and_told_to_github_once(tmp_path, capsys, monkeypatch):
    """The record is analysed once, and the job's page has one summary."""
    folder, page = three_subscribers(tmp_path / "run"), tmp_path / "page.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    analysed: list[Path] = []

    def count(folder: Path) -> object:
        analysed.append(folder)
        return analyse(folder)

    monkeypatch.setattr("harness.analysis.run.finalize.analyse", count)
    code = verb.show_report(folder)
    assert code == json.loads((folder / "run.json").read_bytes())["summary"]["exit_code"]
    assert capsys.readouterr().out.endswith(f"report: {folder / 'report.html'}\n")
    assert (folder / "report.html").is_file()
    assert [folder] == analysed
    assert 1 == page.read_text(encoding="utf-8").count("# ")


def test_report_that_cannot_be_made_is_one_error(tmp_path, capsys, monkeypatch):
    """A disk that is still full does not change the exit code of the run."""
    folder = three_subscribers(tmp_path / "run")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "as the library puts it")

    monkeypatch.setattr("harness.analysis.run.finalize.write_parquet", fail)
    assert 2 == verb.show_report(folder)
    said = capsys.readouterr().err
    assert said.startswith(f"error: {folder}: cannot be written (no space left on device), ")
    assert 1 == said.count("error: ")


def test_report_that_is_interrupted_says_how_to_make_it(tmp_path, capsys, monkeypatch):
    """Ctrl-C while the report is written leaves the record, and one sentence."""
    folder = tmp_path / "run"
    load = LoadProcess([sys.executable, str(FAKE), str(folder), "ends"], folder)
    load.wait(PATIENCE_S)

    def interrupt(_folder: Path) -> int:
        raise KeyboardInterrupt

    assert 130 == verb.conclude(load, 0, folder, interrupt)
    assert capsys.readouterr().err == (
        f"\ninterrupted while writing the report\nhint: harness report {folder} writes it\n"
    )


def test_interrupt_before_the_record_is_one_sentence(tmp_path, capsys):
    """Nothing is left, and the user hears why."""
    folder = tmp_path / "run"
    load = LoadProcess([sys.executable, "-c", "raise SystemExit(130)"], folder)
    load.wait(PATIENCE_S)
    load._signals = 1

    assert 130 == verb.conclude(load, 130, folder)
    assert capsys.readouterr().err == "interrupted before the run began; there is no record\n"
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_before_the_load_starts_is_one_sentence(tmp_path, monkeypatch, capsys, signum):
    """No load process exists yet; the folder that was claimed is removed."""
    monkeypatch.setattr(verb, "load_command", lambda *_: signal.raise_signal(signum))
    arguments = ["run", str(WORKLOAD), "--target", str(TARGET), "--out", str(tmp_path / "run")]

    code = app.build_app()(arguments, prog_name="harness", standalone_mode=False)

    assert 130 == code
    assert capsys.readouterr().err.endswith("\nharness run: interrupted\n")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["run", "a", "--web-port"], ["worker", "--master-port"]])
def test_port_out_of_range_is_refused_by_the_option(monkeypatch, capsys, arguments):
    """Nothing is read or started for it."""
    monkeypatch.setattr(sys, "argv", ["harness", *arguments, "70000"])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert 2 == end.value.code
    assert "should be less than or equal to 65535" in capsys.readouterr().err
