import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from harness.cli.app import VERBS, Verb, build_app
from tests.support.paths import ROOT
from tests.support.programs import finished_python
from tests.support.runs import lenient, sets
from tests.support.waiting import PATIENCE_S

SMALLER = {
    "population.subscribers": 20,
    "population.chatters": 5,
    "joins.rate_per_s": 25,
    "phases.settle_s": 1,
    "phases.warm_up_s": 1,
    "phases.measure_s": 4,
    "phases.drain_s": 1,
    "slos.1.limit": 60_000,
    "slos.4.limit": 60_000,
}
"""Overrides that cut an example down to a few users and seconds; no busy machine breaks it."""


def harness(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    runs = {"reports/first": "reports/sample"}  # The run that a checkout has.
    words = [runs.get(each, each) for each in arguments]
    return finished_python("-m", "harness", *words, cwd=ROOT)


def shown(arguments: list[str]) -> Result:
    """Ask the command for help, in this process."""
    return CliRunner().invoke(build_app(), arguments, prog_name="harness")


def example_of(name: str) -> list[str]:
    """Return the arguments of a verb's example, without the command's own name."""
    (verb,) = (each for each in VERBS if each.name == name)
    return shlex.split(verb.example)[1:]


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_help_ends_with_the_example_on_one_line(verb: Verb) -> None:
    """The example can be copied as it stands from the last line of the help."""
    done = shown([verb.name, "--help"])
    assert 0 == done.exit_code
    assert f"Example: {verb.example}" == done.stdout.splitlines()[-1].strip()


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_help_is_for_users(verb: Verb) -> None:
    """The help says what the verb does and shows no section meant for readers of the code."""
    assert verb.help
    assert not {"Args:", "Raises:", "Returns:"} & set(shown([verb.name, "-h"]).stdout.split())


@pytest.mark.parametrize("verb", VERBS, ids=[verb.name for verb in VERBS])
def test_help_names_values_as_a_user_would(verb: Verb) -> None:
    """No value stands there as a type of the code or with signs that nobody types."""
    text = " ".join(shown([verb.name, "--help"]).stdout.split())
    assert [] == re.findall(r"\{[^|}]*\}|<\w[^<>]*>|\b(?:INTEGER|FLOAT) RANGE\b", text)
    assert text.count("[default: .]") <= 1


def test_help_of_the_command_lists_every_verb() -> None:
    """The first page names each verb and ends with an example too."""
    lines = shown(["--help"]).stdout.splitlines()
    listed = {line.split()[0] for line in lines if line.startswith("  ") and line.strip()}
    assert {verb.name for verb in VERBS} <= listed
    assert f"Example: {VERBS[0].example}" == lines[-1].strip()


@pytest.mark.parametrize(
    "name", ["check", "compare", "cost", "plan", "examples", "systems", "validate", "doctor"]
)
def test_example_works(name: str) -> None:
    """The example of a verb that only looks does what it says, on any machine that runs this."""
    done = harness(example_of(name))
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout


def test_example_of_study_reports_on_the_runs_there_are(tmp_path: Path) -> None:
    """The example, told to run nothing, makes a report that says what is not run yet."""
    done = harness([*example_of("study"), "--report-only", "--out", str(tmp_path)])
    assert (4, "") == (done.returncode, done.stderr)
    assert f"report: {tmp_path / 'report.html'}" in done.stdout
    assert "not run yet" in (tmp_path / "report.html").read_text("utf-8")


def test_example_of_emulate_serves_until_stopped() -> None:
    """The example says where it serves, and a signal ends it in order."""
    with subprocess.Popen(
        [sys.executable, "-m", "harness", *example_of("emulate")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        process.wait(PATIENCE_S)
    assert "appsync-events-emulated serves in 1 process; Ctrl-C stops it.\n" == first
    assert "ws://127.0.0.1:" in rest
    assert 0 == process.returncode


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: the example of ``run``, cut down to a few users and seconds."""
    folder = tmp_path_factory.mktemp("reports") / "run"
    done = harness([*example_of("run"), *sets(lenient() | SMALLER), "--out", str(folder)])
    assert 0 == done.returncode, done.stderr + done.stdout
    assert f"report: {folder / 'report.html'}" in done.stdout
    return folder


@pytest.mark.slow
@pytest.mark.end_to_end
def test_example_of_run_leaves_a_report(finished_run: Path) -> None:
    """The example ends with a verdict and leaves the report that it names."""
    assert (finished_run / "report.html").is_file()
    assert (finished_run / "locust.log").is_file()


@pytest.mark.slow
@pytest.mark.end_to_end
def test_example_of_report_works_on_a_finished_run(finished_run: Path) -> None:
    """The example, on a folder that exists, makes the report again and names it."""
    verb, _example_folder = example_of("report")
    (finished_run / "report.html").unlink()
    done = harness([verb, str(finished_run)])
    assert (0, "") == (done.returncode, done.stderr)
    assert f"report: {finished_run / 'report.html'}" in done.stdout
    assert (finished_run / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.end_to_end
def test_example_of_sweep_finds_a_lower_bound_in_one_short_step(tmp_path: Path) -> None:
    """The example, cut down to one step of a few users, holds and leaves a page."""
    folder = tmp_path / "sweep"
    flags = (*sets(lenient() | SMALLER), "--from=50", "--to=50", "--out", str(folder))
    done = harness([*example_of("sweep"), *flags])
    assert 0 == done.returncode, done.stderr + done.stdout
    assert "capacity: at least 50 deliveries/s" in done.stdout
    assert f"page: {folder / 'sweep.html'}" in done.stdout
    assert (folder / "01-deliveries-50" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.end_to_end
def test_cost_of_a_finished_run_agrees_with_the_emulators_bill(finished_run: Path) -> None:
    """What the clients counted is what the emulator would have billed, to the last operation."""
    done = harness(["cost", str(finished_run), "--json"])
    assert (0, "") == (done.returncode, done.stderr)
    (run,) = json.loads(done.stdout)["runs"]
    kinds = ("inbound", "outbound", "connects", "subscribes", "handlers")
    assert run["billed"]["outbound"] > 0
    assert [run["billed"][kind] for kind in kinds] == [run["operations"][kind] for kind in kinds]
