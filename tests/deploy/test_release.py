"""The workflow that builds a release, as far as it can be checked without running it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import ROOT
from tests.support.waiting import PATIENCE_S

FILE = ROOT / ".github/workflows/release.yml"
TEXT = FILE.read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
COMMANDS = [
    step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step
]


def test_workflow_has_the_shape_that_github_wants():
    """It validates against the schema of workflows."""
    program = str(Path(sys.executable).parent / "check-jsonschema")
    command = [program, "--builtin-schema", "vendor.github-workflows", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert 0 == done.returncode, done.stdout


def test_only_a_person_starts_it_and_it_may_only_read():
    """No push and no tag starts it, and its token changes nothing."""
    # YAML 1.1 reads the key `on` as true.
    assert ["workflow_dispatch"] == list(WORKFLOW[True])
    assert {"contents": "read"} == WORKFLOW["permissions"]
    assert "secrets." not in TEXT


@pytest.mark.parametrize("word", ["make wheel-test", " -m build ", "twine check", "docker build "])
def test_it_builds_and_checks_everything(word):
    """Wheel and sdist, their metadata, the wheel in use, and the image."""
    assert any(word in command for command in COMMANDS)


def test_it_publishes_nothing():
    """No command uploads or pushes, and no address stands in it."""
    assert not re.search(r"twine upload|docker push|docker login|https?://", TEXT)


def test_targets_of_make_exist():
    """What it tells make to do, the Makefile has."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([\w-]+)", "\n".join(COMMANDS))
    assert targets
    assert [] == [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)]
