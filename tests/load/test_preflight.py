from dataclasses import replace

import pytest
from locust.argument_parser import get_parser

from harness.cli.options import PACKAGED_LOCUSTFILE as LOCUSTFILE
from harness.core.errors import MachineError, ScenarioError
from harness.load import preflight as preparing
from harness.load.options import add_arguments
from harness.load.preflight import on_options, prepare
from tests.support.machines import TWO_CORES
from tests.support.paths import ROOT
from tests.support.programs import finished_python

TARGET = ROOT / "scenarios/targets/appsync-events-emulated.toml"
BURST = ("--workload", str(ROOT / "scenarios/workloads/reference-burst.toml"))
QUICKSTART = ("--workload", str(ROOT / "scenarios/workloads/quickstart.toml"))
NO_FORK = """
import resource, sys
import locust.main
from tests.support.waiting import PATIENCE_S
def fork():
    print("a worker was started", file=sys.stderr)
    sys.exit(99)
locust.main.gevent.fork = fork
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
locust.main.main()
"""
"""Locust, in a process that may have 64 files open, and that ends at its first fork."""


@pytest.fixture(name="parser")
def _parser(monkeypatch):
    monkeypatch.setattr(preparing, "read_machine", lambda: TWO_CORES)
    parser = get_parser(default_config_files=[])
    add_arguments(parser)
    return parser


def start_locust(*arguments):
    """Start it with two workers to be, and return how it ended."""
    flags = ("-f", LOCUSTFILE, "--headless", "--processes", 2)
    return finished_python("-c", NO_FORK, *flags, *QUICKSTART, "--target", TARGET, *arguments)


def options(parser, *arguments):
    return parser.parse_args(["--headless", "--target", str(TARGET), *arguments])


def test_plan_that_fits_is_ready_with_its_emulator_sized(parser):
    """Nothing to warn of; later the processes are only started."""
    plan, warnings = prepare(options(parser, *QUICKSTART, "--processes", "2"))
    assert (1, []) == (plan.target.emulator.processes, warnings)


def test_plan_that_is_too_much_is_refused_with_what_was_found_and_needed(parser):
    """Six times the reference load on two cores."""
    with pytest.raises(MachineError, match=r"this machine: cores: 2\.00 cores found") as caught:
        prepare(options(parser, *BURST, "--processes", "4"))
    assert "--force" in str(caught.value)


def test_plan_that_is_too_much_is_a_warning_where_the_user_insists(parser):
    """It ends up in the record."""
    _, warnings = prepare(options(parser, *BURST, "--processes", "4", "--force"))
    assert ["machine_too_small"] == [warning["code"] for warning in warnings]


def test_master_of_workers_elsewhere_is_asked_for_its_emulator_alone(parser, monkeypatch):
    """The same burst, with the load on other machines and the emulator on the network."""
    elsewhere = ("--master", "--expect-workers", "8", "--set", "target.emulator.host=10.0.0.1")
    few_ports = replace(TWO_CORES, ephemeral_ports=1, cores=8.0)
    monkeypatch.setattr(preparing, "read_machine", lambda: few_ports)
    assert [] == prepare(options(parser, *BURST, *elsewhere)).warnings


def test_locust_without_a_headless_start_is_told_what_to_add(parser):
    """A workload fixes users and times, so there is nothing to enter on a page."""
    with pytest.raises(MachineError, match="add --headless, or --autostart"):
        prepare(parser.parse_args([]))


def test_options_that_are_read_are_heeded_at_once_and_errors_end_the_process(parser, capsys):
    """Each problem is a sentence on standard error, and the exit code is the error's."""
    on_options(parser, prepare)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--headless"])
    assert ScenarioError.exit_code == ended.value.code
    said = capsys.readouterr().err
    assert said.startswith("error: --workload must name a file or a known workload\n")
    assert "error: --target must name a file or a known target\n" in said


def test_workers_are_not_asked_for_a_plan(parser):
    """Theirs comes from the master."""
    heard = []
    on_options(parser, heard.append)
    assert parser.parse_args(["--worker"]).worker
    assert [] == heard


@pytest.mark.parametrize("flag", ["--list", "--show-task-ratio", "--show-task-ratio-json"])
def test_who_only_looks_at_a_locustfile_is_not_asked_for_a_plan(parser, flag):
    """Locust shows its classes or tasks, and starts nothing."""
    on_options(parser, prepare)
    assert parser.parse_args([flag]).headless is False


def test_machine_that_is_too_small_is_told_before_locust_starts_a_worker():
    """With a limit of 64 files, only the process that reads the options can refuse."""
    ended = start_locust()
    assert 2 == ended.returncode
    first, *_ = ended.stderr.splitlines()
    assert "error: this machine: open files of a worker: 64 found, 564 needed" == first


def test_machine_that_will_do_is_where_locust_starts_its_workers():
    """The same with --force gets as far as that: the test before can fail."""
    ended = start_locust("--force")
    assert (99, True) == (ended.returncode, "a worker was started" in ended.stderr)
