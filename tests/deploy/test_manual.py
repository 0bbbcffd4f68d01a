"""Everything that docs/operating.md tells to type exists."""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec

import pytest

from harness.cli.app import VERBS
from tests.deploy.conftest import ROOT
from tests.support.waiting import PATIENCE_S

MANUAL = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", MANUAL, flags=re.DOTALL | re.MULTILINE)
LINES = [line for kind, block in FENCED if kind in ("", "sh") for line in block.splitlines()]
MADE_BEFORE = {"scenarios/targets/mine.toml"}
"""What an earlier line of the manual writes."""


def words_of(program):
    """Return the words of every line that starts a program, shell's own parts left out."""
    return [shlex.split(line.split(" > ")[0]) for line in LINES if line.startswith(program)]


def test_manual_has_commands_to_check():
    """The blocks are found, so the tests below mean something."""
    assert len(LINES) > 20
    assert words_of("harness ")


def test_verbs_and_flags_of_the_harness_exist():
    """Each ``harness`` line names a verb, and flags that its help lists."""
    for _, verb, *arguments in words_of("harness "):
        assert verb in {one.name for one in VERBS}
        flags = {one.split("=")[0] for one in arguments if one.startswith("--")}
        done = subprocess.run(
            [sys.executable, "-m", "harness", verb, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
        assert flags <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_modules_exist():
    """Each ``python -m`` line names a module of the checkout."""
    modules = [words[2] for words in words_of("python -m ")]
    assert modules
    assert [] == [module for module in modules if find_spec(module) is None]


def test_paths_exist():
    """Each path of the repository that a line names is there."""
    named = re.findall(r"(?<![\w/.])(?:scenarios|deploy|reports)/[\w./-]*", "\n".join(LINES))
    assert named
    assert [] == [path for path in named if path not in MADE_BEFORE and not (ROOT / path).exists()]


@pytest.mark.parametrize("part", ["events", "chat", "fleet"])
def test_each_stack_is_deployed_and_removed(part):
    """No stack is left out of the steps, and above all not of the last one."""
    assert f"cdk deploy fanout-{part}" in MANUAL
    (removed,) = [line for line in LINES if line.startswith("cdk destroy")]
    assert f"fanout-{part}" in removed


def test_links_lead_somewhere():
    """Each relative link of the manual is a page of the repository."""
    links = re.findall(r"\]\(([^)#\s]+)", MANUAL)
    assert links
    relative = [link for link in links if not link.startswith("https://")]
    assert [] == [link for link in relative if not (ROOT / "docs" / link).exists()]
