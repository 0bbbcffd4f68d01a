from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import doctor as doctor_module
from harness.cli.doctor import doctor
from harness.core.errors import ScenarioError
from harness.core.exit_codes import ExitCode
from tests.support.machines import TWO_CORES
from tests.support.paths import SCENARIOS

QUICKSTART = SCENARIOS / "workloads" / "quickstart.toml"
EMULATED = SCENARIOS / "targets" / "appsync-events-emulated.toml"


@pytest.fixture
def run_doctor(monkeypatch):
    """Run the verb on a machine of the test's choice; return its exit status and output."""

    def run(*arguments, machine=TWO_CORES):
        monkeypatch.setattr(doctor_module, "read_machine", lambda: machine)
        app = typer.Typer()
        app.command()(doctor)
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, ScenarioError):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_machine_that_will_do_is_all_ok(run_doctor):
    """On a laptop the quickstart has all it needs, each row says so, and the status is 0."""
    status, output = run_doctor(QUICKSTART, "--target", EMULATED)
    sizes, _, header, *rows = output.splitlines()
    assert "workers: 1, emulator processes: 1" == sizes
    assert (ExitCode.PASS, ["found", "needed"]) == (status, header.split())
    assert all(row.endswith("  ok") for row in rows)
    assert "open files of a worker             20,000      1,064               ok" in rows


def test_what_is_too_low_is_marked_with_what_to_do(run_doctor):
    """A low limit is named with both figures, advice follows, and the status is bad usage."""
    machine = replace(TWO_CORES, open_files=256, clock_resolution_ns=4_000_000)
    arguments = (QUICKSTART, "--target", EMULATED, "--workers", "1")
    status, output = run_doctor(*arguments, machine=machine)
    lines = output.splitlines()
    place = lines.index(next(line for line in lines if line.startswith("open files of a worker")))
    assert ExitCode.BAD_USAGE == status
    assert ["256", "1,064", "too", "low"] == lines[place].split()[5:]
    assert lines[place + 1].startswith("  -> spread the users over more workers")
    assert any(line.endswith("too coarse") for line in lines)


def test_more_workers_need_fewer_files_each(run_doctor):
    """The advice works: the same plan on four workers passes."""
    machine = replace(TWO_CORES, open_files=400)
    emulator = "target.emulator.processes=4"
    arguments = (QUICKSTART, "--target", EMULATED, "--set", emulator, "--workers")
    assert ExitCode.BAD_USAGE == run_doctor(*arguments, "1", machine=machine)[0]
    assert ExitCode.PASS == run_doctor(*arguments, "4", machine=machine)[0]


def test_without_workers_given_as_many_are_taken_as_will_do(run_doctor):
    """The tool's own choice fits a low limit, for workers and for the emulator."""
    machine = replace(TWO_CORES, open_files=400)
    status, output = run_doctor(QUICKSTART, "--target", EMULATED, machine=machine)
    assert ExitCode.PASS == status
    assert output.startswith("workers: 3, emulator processes: 4\n")


def test_without_a_plan_the_machine_is_described(run_doctor):
    """Alone, the verb lists what the machine offers, and what it does not tell."""
    status, output = run_doctor(machine=replace(TWO_CORES, somaxconn=None))
    assert ExitCode.PASS == status
    assert "connections waiting (somaxconn)  not known" in output
    assert "memory                           24,000 MB" in output


def test_workload_without_a_target_is_bad_usage(run_doctor):
    """Half a plan cannot be judged."""
    status, output = run_doctor(QUICKSTART)
    assert ExitCode.BAD_USAGE == status
    assert "--target" in output


def test_bad_scenario_is_reported_as_in_a_run(run_doctor):
    """The doctor validates first."""
    with pytest.raises(ScenarioError, match=r"--set: joins\.rate_per_s must be >= 0\.001, got 0"):
        run_doctor(QUICKSTART, "--target", EMULATED, "--set", "joins.rate_per_s=0")
