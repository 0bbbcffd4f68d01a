"""A new system is one folder, one target and one locustfile: the toy proves that it is no more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.stage import SHORT, lenient, sets

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

TOY = Path(__file__).parent
ROOT = TOY.parents[2]
WITHIN_S = 60.0
COPIED = ("harness", "scenarios", "locustfiles", "tests")
"""All that somebody who adds a system might be tempted to change."""

ADDED = {
    "harness/systems/toy": TOY / "system",
    "scenarios/targets/toy-emulated.toml": TOY / "toy-emulated.toml",
    "locustfiles/toy.py": TOY / "locustfile.py",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project with the toy added to it, and nothing else changed."""
    tree = tmp_path_factory.mktemp("project")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tree / "pyproject.toml")
    for place, source in ADDED.items():
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tree / place)
    return tree


OF_THIS_SESSION = {"LOCUST_SKIP_MONKEY_PATCH", "PYTEST_ADDOPTS"}
"""What is meant for these tests, and not for those that they start."""


def run(tree, *command):
    """Run Python in the copy; return how it ended and what it said."""
    ours = {key: value for key, value in os.environ.items() if key not in OF_THIS_SESSION}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=ours | {"PYTHONPATH": str(tree)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def files_of(tree):
    """Return the contents of all files that a new system may touch, by path."""
    return {
        str(file.relative_to(tree)): file.read_bytes()
        for name in COPIED
        for file in (tree / name).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_toy_passes_the_suite_of_every_system(tree):
    """The suite finds it by itself, and tests it with the others' tests."""
    ended = run(
        tree, "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance/systems", "-k", "toy"
    )
    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert "failed" not in ended.stdout
    assert int(ended.stdout.split(" passed")[0].split()[-1]) >= 15


def test_toy_carries_the_quickstart(tree):
    """A run of the shipped workload on it, made smaller: everything that was owed arrived."""
    smaller = lenient() | SHORT | {"population.subscribers": 90, "population.chatters": 10}
    ended = run(
        tree,
        *("harness", "run", "scenarios/workloads/quickstart.toml"),
        *("--target", "scenarios/targets/toy-emulated.toml", "--out", "record"),
        *sets(smaller | {"slos.1.limit": 60_000.0, "slos.4.limit": 60_000.0}),
    )
    assert 0 == ended.returncode, ended.stdout + ended.stderr
    summary = json.loads((tree / "record" / "run.json").read_bytes())["summary"]
    truth = json.loads((tree / "record" / "emulator.json").read_bytes())["stats"]
    assert 100 == summary["joins"]["succeeded"]
    assert 0 < summary["deliveries"]["owed"] == summary["deliveries"]["received"]
    assert truth["deliveries"]["owed"] == truth["deliveries"]["sent"]


def test_toy_is_refused_what_it_does_not_say_it_can(tree):
    """It says nothing of several subscriptions or wildcards, so there are none."""
    ended = run(
        tree,
        *("harness", "run", "scenarios/workloads/rooms.toml"),
        *("--target", "scenarios/targets/toy-emulated.toml", "--out", "refused"),
    )
    assert 2 == ended.returncode
    assert "must be at most 1 on toy" in ended.stderr
    assert "must be 0 on toy" in ended.stderr


def test_tree_with_the_toy_keeps_the_house_rules(tree):
    """The imports of a new system are judged like everybody's."""
    ended = run(
        tree,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_architecture.py",
        "-k",
        "house_rules",
    )
    assert 0 == ended.returncode, ended.stdout


def test_nothing_else_was_changed_for_the_toy(tree):
    """Every file of the copy is the project's own, but for those of the toy."""
    theirs, ours = files_of(tree), files_of(ROOT)
    new = sorted(set(theirs) - set(ours))
    assert new
    assert all(file.startswith(tuple(ADDED)) for file in new)
    assert {} == {file: None for file in ours if ours[file] != theirs.get(file)}
