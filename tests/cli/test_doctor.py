from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.cli import doctor as doctor_module
from harness.cli.doctor import doctor, figure, needs_of, peak_deliveries_per_s
from harness.core.errors import ScenarioError
from harness.core.exit_codes import ExitCode
from harness.measure.machine import Machine, Needs
from harness.scenario.loading import load_plan

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
QUICKSTART = SCENARIOS / "workloads" / "quickstart.toml"
EMULATED = SCENARIOS / "targets" / "appsync-events-emulated.toml"
EMULATED_TLS = SCENARIOS / "targets" / "appsync-events-emulated-tls.toml"
AWS = SCENARIOS / "targets" / "appsync-events-aws.toml"

LAPTOP = Machine(
    open_files=20_000,
    ephemeral_ports=28_232,
    somaxconn=4096,
    memory_bytes=8_000_000_000,
    cores=2.0,
    clock_resolution_ns=1,
)


@pytest.fixture
def run_doctor(monkeypatch):
    """Run the verb on a machine of the test's choice; return its exit status and output."""

    def run(*arguments, machine=LAPTOP):
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
    header, *rows = output.splitlines()
    assert (ExitCode.PASS, ["found", "needed"]) == (status, header.split())
    assert all(row.endswith("  ok") for row in rows)
    assert "open files of a worker             20,000      1,064               ok" in rows


def test_what_is_too_low_is_marked_with_what_to_do(run_doctor):
    """A low limit is named with both figures, advice follows, and the status is bad usage."""
    machine = replace(LAPTOP, open_files=256, clock_resolution_ns=4_000_000)
    status, output = run_doctor(QUICKSTART, "--target", EMULATED, machine=machine)
    lines = output.splitlines()
    place = lines.index(next(line for line in lines if line.startswith("open files of a worker")))
    assert ExitCode.BAD_USAGE == status
    assert ["256", "1,064", "too", "low"] == lines[place].split()[5:]
    assert lines[place + 1].startswith("  -> spread the users over more --workers")
    assert any(line.endswith("too coarse") for line in lines)


def test_more_workers_need_fewer_files_each(run_doctor):
    """The advice works: the same plan on four workers passes."""
    machine = replace(LAPTOP, open_files=400)
    emulator = "target.emulator.processes=4"
    arguments = (QUICKSTART, "--target", EMULATED, "--set", emulator)
    assert ExitCode.BAD_USAGE == run_doctor(*arguments, machine=machine)[0]
    assert ExitCode.PASS == run_doctor(*arguments, "--workers", "4", machine=machine)[0]


def test_without_a_plan_the_machine_is_described(run_doctor):
    """Alone, the verb lists what the machine offers, and what it does not tell."""
    status, output = run_doctor(machine=replace(LAPTOP, somaxconn=None))
    assert ExitCode.PASS == status
    assert "connections waiting (somaxconn)  not known" in output
    assert "memory                           8,000 MB" in output


def test_workload_without_a_target_is_bad_usage(run_doctor):
    """Half a plan cannot be judged."""
    status, output = run_doctor(QUICKSTART)
    assert ExitCode.BAD_USAGE == status
    assert "--target" in output


def test_bad_scenario_is_reported_as_in_a_run(run_doctor):
    """The doctor validates first."""
    with pytest.raises(ScenarioError, match=r"--set: joins\.rate_per_s must be >= 0\.001, got 0"):
        run_doctor(QUICKSTART, "--target", EMULATED, "--set", "joins.rate_per_s=0")


def test_needs_of_the_quickstart_are_known():
    """1,000 users hear 4 messages a second: 4,000 deliveries a second."""
    assert Needs(
        users=1000,
        http_publishers=0,
        joins_per_s=200.0,
        deliveries_per_s=4000.0,
        workers=2,
        emulator_processes=1,
        tls=False,
    ) == needs_of(load_plan(QUICKSTART, EMULATED), workers=2)


def test_publishing_over_http_and_tls_are_counted():
    """Chatters on HTTP hold a connection more; encryption comes from the target."""
    plan = load_plan(QUICKSTART, EMULATED_TLS, overrides=["publishing.transport=http"])
    needs = needs_of(plan, workers=1)
    assert (100, True) == (needs.http_publishers, needs.tls)


def test_real_target_needs_no_emulator(monkeypatch):
    """What runs elsewhere costs nothing here, and wss means TLS."""
    for name in ("APPSYNC_HTTP_HOST", "APPSYNC_REALTIME_HOST", "APPSYNC_API_KEY"):
        monkeypatch.setenv(name, "example.org")
    needs = needs_of(load_plan(QUICKSTART, AWS), workers=1)
    assert (0, True) == (needs.emulator_processes, needs.tls)


@pytest.mark.parametrize(
    ("overrides", "deliveries_per_s"),
    [
        ([], 4000.0),
        (["channels.count=4"], 1000.0),
        (["channels.count=2", "channels.zipf_skew=1.0"], 4000.0 * (4 / 9 + 1 / 9)),
        (["publishing.burst={factor=6, length_s=10, every_s=60}"], 24_000.0),
        (["population.chatters_subscribe=false"], 3600.0),
    ],
)
def test_peak_deliveries_follow_channels_and_bursts(overrides, deliveries_per_s):
    """Channels divide the audience, skew gathers it again, and bursts multiply the rate."""
    plan = load_plan(QUICKSTART, EMULATED, overrides=overrides)
    assert deliveries_per_s == pytest.approx(peak_deliveries_per_s(plan))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "not known"),
        (28_232, "", "28,232"),
        (8e9, "bytes", "8,000 MB"),
        (0.349, "cores", "0.35 cores"),
        (1, "ns", "1 ns"),
    ],
)
def test_figure_is_written_for_people(value, unit, text):
    """Thousands have commas and units follow."""
    assert text == figure(value, unit)
