import ast
import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.app import build_app
from harness.cli.starter import origin
from harness.cli.starter.origin import PLACEHOLDER
from harness.cli.starter.project import EMULATED, SERVICE, WORKFLOW, longest_wait_s, new_project
from harness.cli.validate import validate
from harness.core.errors import MachineError
from harness.core.system import System, installed_systems
from tests.support.programs import finished, finished_python
from tests.support.runs import lenient, sets

TOY = System(name="toy", title="Toy", client="toy:Api", realtime_schemes=("https", "http"))


pytestmark = pytest.mark.usefixtures("folder")


def init(*arguments):
    """Run the command in this process; raise what it raises."""
    done = CliRunner().invoke(build_app(), ["init", *arguments])
    if isinstance(done.exception, Exception):
        raise done.exception
    return done


def files_in(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("system", installed_systems())
def test_project_of_every_system_validates(folder, system, capsys, monkeypatch):
    """Workload, targets and SLOs are good as written, for each system that is installed."""
    assert 0 == init("chat", "--system", system).exit_code
    monkeypatch.chdir(folder / "chat")
    validate(["live", EMULATED, SERVICE])
    said = capsys.readouterr().out
    assert f"target {EMULATED}, {system}, emulated\n" in said
    assert f"target {SERVICE}, {system}, not emulated, needs " in said


def test_without_a_folder_the_project_is_written_here(folder):
    """A new repository with its environment counts as an empty folder."""
    (folder / ".git").mkdir()
    (folder / ".venv").mkdir()
    done = init("--system", "polling")
    assert (folder / "locustfile.py").is_file()
    assert "\n  harness run live --target emulated --locustfile locustfile.py\n" in done.stdout
    assert "cd " not in done.stdout


def test_without_a_terminal_the_default_system_is_named(folder):
    """A script is told which system it got and how to choose another."""
    assert "system: appsync-events; choose another with --system\n" == init("chat").stderr
    target = tomllib.loads((folder / "chat/scenarios/targets/emulated.toml").read_text("utf-8"))
    assert "appsync-events" == target["system"]


def test_at_a_terminal_the_system_is_asked_for(folder):
    """The question lists the installed systems; the answer chooses."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "harness", "init", "chat"]
    with subprocess.Popen(
        command, cwd=folder, stdin=follower, stderr=follower, stdout=subprocess.PIPE
    ) as process:
        os.write(leader, b"polling\n")
        assert process.stdout is not None
        assert b"for Polling" in process.stdout.read()
    asked = os.read(leader, 4096).decode()
    os.close(follower)
    os.close(leader)
    assert 0 == process.returncode
    assert "hybrid" in asked
    assert "Which system is your service? [appsync-events]" in asked


def test_next_steps_name_the_commands_and_the_variables(folder):
    """Whoever has run it knows what to type next, and what the service's target needs."""
    said = init("chat", "--system", "polling").stdout
    assert f"wrote 13 files for Polling to {folder / 'chat'}\n" in said
    assert "\nnext:\n  cd chat\n  harness run live --target emulated " in said
    assert "set POLLING_HOST, POLLING_API_KEY, then `harness run live --target service " in said


def test_schema_line_of_every_scenario_leads_to_a_schema(folder):
    """Editors find the schema beside the files, without the harness's own folder."""
    init("chat", "--system", "hybrid")
    scenarios = [file for file in files_in(folder) if file.endswith(".toml")]
    assert 4 == len(scenarios)
    for name in scenarios:
        file = folder / name
        first = file.read_text("utf-8").splitlines()[0]
        assert (file.parent / first.removeprefix("#:schema ")).resolve().is_file(), name


def test_locustfile_has_users_of_its_own(folder):
    """Both user classes are there to be changed, and the ordinary one can be switched on."""
    init("chat", "--system", "polling")
    written, _, commented = (folder / "chat/locustfile.py").read_text("utf-8").partition("\n#\n")
    uncommented = written + "\n" + re.sub("^# ?", "", commented, flags=re.MULTILINE)
    classes = [
        (node.name, *(base.id for base in node.bases))
        for node in ast.parse(uncommented).body
        if isinstance(node, ast.ClassDef)
    ]
    assert [("Viewer", "Subscriber"), ("Author", "Chatter"), ("Browser", "HttpUser")] == classes


def test_workflow_runs_and_judges_with_the_services_secrets(folder):
    """The steps install, validate, run, judge and keep; each variable comes from a secret."""
    init("chat", "--system", "polling")
    (job,) = yaml.safe_load((folder / "chat" / WORKFLOW).read_text("utf-8"))["jobs"].values()
    assert [
        ["pip", "install"],
        ["harness", "validate"],
        ["harness", "run"],
        ["harness", "check"],
        ["harness", "compare"],
    ] == [step["run"].split()[:2] for step in job["steps"] if "run" in step]
    assert "${{ secrets.POLLING_API_KEY }}" == job["env"]["POLLING_API_KEY"]
    (run,) = [step["run"] for step in job["steps"] if step.get("name") == "Run"]
    told = CliRunner().invoke(build_app(), ["run", "--help"]).stdout
    assert "--tag commit=" in run
    assert "HARNESS_TAGS" not in job["env"]
    assert set(re.findall(r"--[a-z-]+", run)) <= set(re.findall(r"--[a-z-]+", told))


def test_workflow_has_the_shape_that_github_wants(folder):
    """It validates against the schema of workflows, also where it lies below a repository's top."""
    (folder / ".git").mkdir()
    done = init("tests/chat", "--system", "polling")
    workflow = folder / "tests/chat" / WORKFLOW
    assert f"move {WORKFLOW} to the same place in {folder}" in done.stdout
    assert "working-directory: tests/chat\n" in workflow.read_text("utf-8")
    program = Path(sys.executable).parent / "check-jsonschema"
    checked = finished(program, "--builtin-schema", "vendor.github-workflows", workflow)
    assert 0 == checked.returncode, checked.stdout


@pytest.mark.parametrize(
    "name", ["locustfile.py", "requirements.txt", "scenarios/targets/mine.toml", str(WORKFLOW)]
)
def test_folder_with_a_file_of_the_project_is_refused_and_left_as_it_was(folder, name):
    """The sentence names what is there; nothing is overwritten and nothing is added."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("mine", encoding="utf-8")
    found = "scenarios" if name.startswith("scenarios") else name
    with pytest.raises(MachineError, match=f"holds {re.escape(found)}, init overwrites nothing"):
        init("--system", "polling")
    assert [name] == files_in(folder)
    assert "mine" == (folder / name).read_text("utf-8")


def test_file_in_place_of_a_folder_of_the_project_leaves_nothing_behind(folder):
    """What has been written before it is met is taken back."""
    (folder / ".github").write_text("mine", encoding="utf-8")
    with pytest.raises(MachineError, match="a writable folder is required"):
        init("--system", "polling")
    assert [".github"] == files_in(folder)


def test_files_of_an_existing_repository_stay_as_they_are(folder):
    """A repository with a README, a license and a .gitignore gets the project beside them."""
    mine = {"README.md", "LICENSE", ".gitignore", "src/app.py"}
    (folder / "src").mkdir()
    for name in mine:
        (folder / name).write_text("mine", encoding="utf-8")
    said = init("--system", "polling").stdout
    assert {"mine"} == {(folder / name).read_text("utf-8") for name in mine}
    assert {"locustfile.py", str(WORKFLOW)} <= {*files_in(folder)}
    assert "wrote 11 files" in said
    assert "\nfor git: add the line reports/ to .gitignore\n" in said


@pytest.mark.parametrize("system", installed_systems().values(), ids=attrgetter("name"))
def test_limit_of_the_latency_leaves_room_for_the_interval(system):
    """Both files allow what the clients of the written targets may wait until they ask."""
    files = new_project(system, ".").files
    targets = [text for path, text in files.items() if path.parent.name == "targets"]
    wait_ms = 1000 * longest_wait_s(system, targets)
    assert (wait_ms > 0) == bool(system.polling_classes)
    for kind in ("workloads", "slos"):
        slos = tomllib.loads(files[Path("scenarios") / kind / "live.toml"])["slos"]
        (limit,) = [slo["limit"] for slo in slos if slo["metric"] == "fan_out_latency_ms.p99"]
        assert limit >= max(wait_ms, 1000)


@pytest.mark.slow
@pytest.mark.end_to_end
@pytest.mark.parametrize("system", ["polling", "hybrid"])
def test_project_of_a_system_that_polls_passes_as_written(folder, system):
    """It is run and judged as its README says, whatever else the machine has to do.

    So the limit of the latency is out of reach; that it is high enough, another test shows.
    """
    init("--system", system)
    for kind in ("workloads", "slos"):
        file = folder / "scenarios" / kind / "live.toml"
        relaxed = re.sub(r"(?m)^limit = \d{4,}\.\d$", "limit = 60000.0", file.read_text("utf-8"))
        assert "limit = 60000.0" in relaxed
        file.write_text(relaxed, "utf-8")
    flags = ("--locustfile", "locustfile.py", *sets(lenient()))
    run = ["run", "live", "--target", EMULATED, *flags]
    for arguments in ([*run, "--out", "reports/live"], ["check", "reports/live", "--slo", "live"]):
        done = finished_python("-m", "harness", *arguments, cwd=folder)
        assert 0 == done.returncode, done.stdout + done.stderr


GIT = {"url": "https://example.org/h.git", "vcs_info": {"vcs": "git", "commit_id": "1a2b3c"}}


@pytest.mark.parametrize(
    ("installed_from", "line"),
    [
        (GIT, "fanout-harness @ git+https://example.org/h.git@1a2b3c"),
        (GIT | {"url": "file:///home/me/h"}, f"fanout-harness @ {PLACEHOLDER}"),
        ({"url": "file:///home/me/h", "dir_info": {}}, f"fanout-harness @ {PLACEHOLDER}"),
        (None, f"fanout-harness @ {PLACEHOLDER}"),
    ],
)
def test_requirements_say_where_the_harness_comes_from(folder, monkeypatch, installed_from, line):
    """A git address with its commit; else a line to be completed, without a local path."""

    class Installed:
        def read_text(self, _name):
            return json.dumps(installed_from) if installed_from else None

    monkeypatch.setattr(origin, "distribution", lambda _name: Installed())
    said = init("--system", "polling").stdout
    written = (folder / "requirements.txt").read_text("utf-8")
    assert line == written.splitlines()[-1]
    assert "/home" not in written
    assert ("for CI: add the source of fanout-harness to requirements.txt" in said) == (
        PLACEHOLDER in line
    )


def test_file_in_place_of_the_folder_is_refused(folder):
    """A path that is a file is no folder to write into."""
    (folder / "chat").touch()
    with pytest.raises(MachineError, match="chat: not a directory, a writable folder"):
        init("chat", "--system", "polling")


def test_system_that_is_not_installed_is_refused_before_anything_is_written(folder):
    """The sentence names the systems that are."""
    with pytest.raises(MachineError, match=r"is not installed, must be one of .*polling"):
        init("chat", "--system", "pigeon-post")
    assert [] == list(folder.iterdir())


def test_initials_of_a_system_are_met_with_its_name(folder):
    """Few write server-sent-events in full at the first attempt."""
    with pytest.raises(MachineError, match=r"did you mean server-sent-events\?"):
        init("chat", "--system", "sse")


def test_failure_half_way_leaves_nothing_behind(folder, monkeypatch):
    """A disk that is full takes back what has been written, and the folder too."""
    written = []
    write = Path.write_text

    def write_a_few(file, *arguments, **options):
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        written.append(file)
        return write(file, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", write_a_few)
    with pytest.raises(MachineError, match="no space left on device"):
        init("new/chat", "--system", "polling")
    assert [] == list(folder.iterdir())


def test_system_without_emulator_and_example_gets_a_target_of_its_own():
    """A system of another package begins with its service, at addresses from the environment."""
    project = new_project(TOY, ".")
    assert (SERVICE, ("SERVICE_HOST", "SERVICE_API_KEY")) == (project.target, project.variables)
    targets = [path for path in project.files if path.parent.name == "targets"]
    assert [Path("scenarios/targets/service.toml")] == targets
    target = tomllib.loads(project.files[targets[0]])
    assert "https://${SERVICE_HOST}" == target["endpoints"]["realtime"]
    assert {"mode": "api_key", "api_key_env": "SERVICE_API_KEY"} == target["auth"]
    schema = json.loads(project.files[Path("scenarios/schemas/target.schema.json")])
    assert "toy" in schema["properties"]["system"]["enum"]


@pytest.mark.parametrize("name", ["", "  "])
def test_blank_system_is_refused(folder, name):
    """It is a variable that was not filled in, and not a wish for the default."""
    with pytest.raises(MachineError, match=f"system '{name}': is not installed, must be one of"):
        init("--system", name)
    assert [] == files_in(folder)
