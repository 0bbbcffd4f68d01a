"""A system of another package: the toy, built as a wheel and installed beside ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import SHORT, lenient, sets
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

TOY = Path(__file__).with_name("toy")
ROOT = TOY.parents[2]
TARGET = TOY / "toy-emulated.toml"
OF_THIS_SESSION = {"LOCUST_SKIP_MONKEY_PATCH", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"}
"""What is meant for these tests, and not for those that they start."""


def run(folder, *command, site=None, expected=0):
    """Run Python, with the toy installed where it is in ``site``; return how it ended."""
    ours = {key: value for key, value in os.environ.items() if key not in OF_THIS_SESSION}
    ended = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=folder,
        env=ours | ({"PYTHONPATH": str(site)} if site else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 5,
        check=False,
    )
    assert expected == ended.returncode, ended.stdout + ended.stderr
    return ended


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    """The toy's wheel, installed; nothing of its source is on the path."""
    folder = tmp_path_factory.mktemp("toy")
    offline = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    run(folder, "pip", "wheel", *offline, "--no-build-isolation", "-w", ".", TOY)
    (wheel,) = folder.glob("*.whl")
    run(folder, "pip", "install", *offline, "--target", "site", wheel)
    return folder / "site"


def test_toy_is_listed_with_the_package_it_comes_from(site, tmp_path):
    """Installed, it is found; not installed, it is named with those that are."""
    (line,) = [
        line
        for line in run(tmp_path, "harness", "systems", site=site).stdout.splitlines()
        if line.startswith("toy ")
    ]
    assert line.split()[:5] == ["toy", "Toy", "fanout-toy", "1.0", "fanout_toy"]


def test_target_of_the_toy_is_valid_once_it_is_installed(site, tmp_path):
    """Without its package, one sentence says what is missing and how to add it."""
    run(tmp_path, "harness", "validate", TARGET, site=site)
    refused = run(tmp_path, "harness", "validate", TARGET, expected=2)
    assert "system must be one of api-gateway-websocket, appsync-events, " in refused.stderr
    assert "hint: install the package that provides it; harness systems lists" in refused.stderr


def test_project_of_ones_own_is_written_for_the_toy(site, tmp_path):
    """Its target is valid, and an editor that reads its schema knows the toy."""
    run(tmp_path, "harness", "init", "--system", "toy", site=site)
    assert "" == run(tmp_path, "harness", "validate", "live", "emulated", site=site).stderr
    schema = json.loads((tmp_path / "scenarios/schemas/target.schema.json").read_bytes())
    assert "toy" in schema["properties"]["system"]["enum"]


def test_toy_passes_the_suite_of_every_system(site):
    """The suite finds it by itself, and tests it with the others' tests."""
    suite = ("tests/conformance/systems", "-k", "toy")
    ended = run(ROOT, "pytest", "-q", "-p", "no:cacheprovider", *suite, site=site)
    assert "failed" not in ended.stdout
    assert int(ended.stdout.split(" passed")[0].split()[-1]) >= 15


def test_toy_carries_the_quickstart(site, tmp_path):
    """A run of the shipped workload on it, made smaller: everything that was owed arrived."""
    smaller = lenient() | SHORT | {"population.subscribers": 90, "population.chatters": 10}
    flags = sets(smaller | {"slos.1.limit": 60_000.0, "slos.4.limit": 60_000.0})
    command = ("harness", "run", "quickstart", "--target", TARGET, "--out", "record", *flags)
    run(tmp_path, *command, "--workers", 2, site=site)
    summary = json.loads((tmp_path / "record" / "run.json").read_bytes())["summary"]
    truth = json.loads((tmp_path / "record" / "emulator.json").read_bytes())["stats"]
    assert 100 == summary["joins"]["succeeded"]
    assert 0 < summary["deliveries"]["owed"] == summary["deliveries"]["received"]
    assert truth["deliveries"]["owed"] == truth["deliveries"]["sent"]


def test_toy_is_refused_what_it_does_not_say_it_can(site, tmp_path):
    """It says nothing of several subscriptions or wildcards, so there are none."""
    command = ("harness", "run", "rooms", "--target", TARGET, "--out", "refused")
    ended = run(tmp_path, *command, site=site, expected=2)
    assert "must be at most 1 on toy" in ended.stderr
    assert "must be 0 on toy" in ended.stderr
    assert not (tmp_path / "refused").exists()


def test_toy_keeps_the_house_rules(site):
    """The imports of an installed system are judged like everybody's."""
    suite = ("tests/test_architecture.py", "-k", "house_rules or reads_the_whole_tree")
    run(ROOT, "pytest", "-q", "-p", "no:cacheprovider", *suite, site=site)


def test_toy_that_breaks_the_house_rules_is_caught(site, tmp_path):
    """A client that imports its emulator is named, in whichever package it is."""
    broken = tmp_path / "site"
    shutil.copytree(site, broken)
    with (broken / "fanout_toy" / "client.py").open("a", encoding="utf-8") as client:
        client.write("\nfrom fanout_toy import emulator\n")
    suite = ("tests/test_architecture.py", "-k", "house_rules")
    flags = ("-q", "-p", "no:cacheprovider")
    ended = run(ROOT, "pytest", *flags, *suite, site=broken, expected=1)
    assert "fanout_toy.client imports fanout_toy.emulator, but client must not" in ended.stdout
