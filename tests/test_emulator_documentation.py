import json
import os
import re
import selectors
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.programs import finished
from tests.support.waiting import PATIENCE_S

pytest_plugins = ["pytester"]

PAGE = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
PORT = "4000"


def blocks(language):
    """Return the page's blocks in a language."""
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture
def place(tmp_path):
    """A folder in which the page's file lies, with the examples it names; and a port."""
    (toml,) = blocks("toml")
    port = str(free_port())
    (tmp_path / "chat.toml").write_text(toml.replace(PORT, port), encoding="utf-8")
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    return tmp_path, port


def wait_until_it_serves(process):
    """Return what it prints first."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(PATIENCE_S)
    return os.read(process.stdout.fileno(), 65536).decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_commands_work_in_their_order(place):
    """The emulator is started as shown, and each command after it does what the page says."""
    folder, port = place
    start, *commands = blocks("sh")
    assert "harness emulate chat.toml\n" == start
    answers = []
    with subprocess.Popen(
        [sys.executable, "-m", *start.split(), "--exit-with-parent"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        page = wait_until_it_serves(process)
        for command in commands:
            done = finished("bash", "-ec", command.replace(PORT, port), cwd=folder)
            assert 0 == done.returncode, done.stderr
            answers.append(done.stdout)
        process.stdin.close()
    assert page.startswith("chat serves in 1 process; ")
    published, stats, *told = answers
    assert 1 == len(json.loads(published)["successful"])
    assert 1 == json.loads(stats)["events"]["published"]
    assert [0, 0, 0] == [
        len(answer["processes"]["silent"]) for answer in map(json.loads, split_objects(told))
    ]


def split_objects(texts):
    """Return each JSON object of texts that may hold several."""
    return [part for text in texts for part in re.findall(r"\{.*?\}\}", text)]


def test_tests_shown_pass(pytester):
    """Pytest runs them, with the options of the conftest shown beside them."""
    program, conftest = blocks("python")
    pytester.makepyfile(program)
    pytester.makeconftest(conftest)
    result = pytester.runpytest_subprocess("-p", "no:fanout-harness", "-p", "harness.pytest_plugin")
    result.assert_outcomes(passed=2)


def test_links_lead_somewhere():
    """Each relative link is a file of the repository, and each anchor a heading in it."""
    for file, anchor in re.findall(r"\]\(([^)#\s]+)?(?:#([^)\s]+))?\)", PAGE):
        target = ROOT / "docs" / (file or "emulator.md")
        assert target.exists(), file
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert not anchor or anchor in [as_anchor(heading) for heading in headings], anchor


def as_anchor(heading):
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_quoted_paths_and_targets_exist():
    """What the page names of the Makefile is there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"`make (\w+)`", PAGE):
        assert f"\n{name}: " in makefile
