import json

import pytest
from locust import argument_parser

from harness.cli.run import load_command
from harness.core.child_errors import ERROR_FILE_VARIABLE, read_error
from harness.load.start import FlagsOnly
from harness.scenario.loading import load_plan
from harness.scenario.resolved import plan_file
from harness.scenario.shipped import shipped_file
from tests.support.programs import finished


@pytest.fixture(name="parse")
def _parse(monkeypatch):
    """Parses a command line as Locust does where ``harness`` has started it."""
    monkeypatch.setattr(argument_parser, "LocustArgumentParser", FlagsOnly)

    def parse(*arguments):
        return argument_parser.get_parser().parse_args([*arguments])

    return parse


CONFIGURATION = "users = 10\nrun-time = 5\nheadless = true\nmaster-port = 1234\n"


def test_configuration_files_of_locust_have_no_say(parse, tmp_path, monkeypatch):
    """Neither those of the folder nor the one of the home."""
    home, work = tmp_path / "home", tmp_path / "work"
    for folder, name in ((home, ".locust.conf"), (work, "locust.conf")):
        folder.mkdir()
        (folder / name).write_text(CONFIGURATION, encoding="utf-8")
    (work / "pyproject.toml").write_text("[tool.locust]\nspawn-rate = 7.0\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    options = parse("--csv", "x")
    assert (None, None, False) == (options.num_users, options.run_time, options.headless)
    assert (None, 5557, "x") == (options.spawn_rate, options.master_port, options.csv_prefix)


def test_variables_of_locust_have_no_say(parse, monkeypatch):
    """Not one of them, whatever it would change."""
    for name, value in {"USERS": "10", "RUN_TIME": "5", "HEADLESS": "1", "TAGS": "a"}.items():
        monkeypatch.setenv(f"LOCUST_{name}", value)
    options = parse()
    assert (None, None, False) == (options.num_users, options.run_time, options.headless)
    assert not options.tags


def test_wrong_option_of_locust_reaches_the_parent(parse, tmp_path, monkeypatch):
    """With Locust's own sentence and its suggestion."""
    file = tmp_path / "error.json"
    monkeypatch.setenv(ERROR_FILE_VARIABLE, str(file))
    with pytest.raises(SystemExit) as ended:
        parse("--hedless")
    assert 2 == ended.value.code
    assert "unrecognized arguments: --hedless\nDid you mean '--headless'?" == str(read_error(file))


@pytest.mark.slow
def test_whole_run_needs_no_file_but_its_plan(tmp_path, monkeypatch):
    """Neither Locust nor the emulator reads a scenario file, and a locust.conf changes nothing."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "locust.conf").write_text(CONFIGURATION, encoding="utf-8")
    short = ("population.subscribers=20", "population.chatters=5", "phases.measure_s=1.0")
    files = (
        shipped_file("workloads", "ci-smoke"),
        shipped_file("targets", "appsync-events-emulated"),
    )
    gone = {"workload_file": "gone/w.toml", "target_file": "gone/t.toml"}
    plan = load_plan(*files, overrides=short).model_copy(update=gone)
    monkeypatch.setenv("LOCUST_USERS", "3")
    with plan_file(plan) as file:
        command = (*load_command(tmp_path / "run", 1, ["--force"]), "--plan", file)
        ended = finished(*command, cwd=work)
    assert 0 == ended.returncode, ended.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert ("completed", "gone/w.toml") == (run["status"], run["plan"]["workload_file"])
    assert "summary" not in run
    assert ["locust.conf"] == [one.name for one in work.iterdir()]
