import json
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.programs import finished

PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.+!]*")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
PAGES = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    """Return the pinned versions by normalised name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {normalised(name): version for name, version in pairs}


def test_constraints_are_names_and_versions_only() -> None:
    """No line holds an address, a path, a hash or an option."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [] == [line for line in lines[1:] if not PIN.fullmatch(line)]


def test_every_direct_dependency_is_pinned() -> None:
    """A dependency that is added to pyproject.toml needs its line in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    direct = [*project["dependencies"], *extras, "hatchling"]
    assert set() == {normalised(name) for name in direct} - pins().keys()


def test_make_help_explains_every_target() -> None:
    """``make help`` lists each target that the Makefile offers."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (offered,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    done = finished("make", "--no-print-directory", "help", cwd=ROOT)
    assert offered.split() == [line.split()[1] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link and picture of a page is a file of the repository."""
    links = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    relative = [link for link in links if not link.startswith("https://")]
    assert [] == [link for link in relative if not (ROOT / page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_modules_exist(page: Path) -> None:
    """Each module named by its path between backticks is in the repository or the package."""
    named = re.findall(r"`([\w/]+/\w+\.py)[`:]", (ROOT / page).read_text(encoding="utf-8"))
    places = (ROOT, ROOT / "harness")
    assert [] == [name for name in named if not any((place / name).exists() for place in places)]


def test_readme_quotes_the_committed_sample() -> None:
    """The figures under the picture are those of the record it was drawn from."""
    record = json.loads((ROOT / "reports/sample/run.json").read_text(encoding="utf-8"))
    deliveries, latency = (record["summary"][key] for key in ("deliveries", "fan_out_latency_ms"))
    figures = ", ".join(f"{name} {latency[name]:.1f} ms" for name in ("p50", "p99", "max"))
    sentence = (
        f"Of {deliveries['owed']:,} deliveries owed {deliveries['lost']:,} were lost; "
        f"fan-out latency {figures}."
    )
    assert sentence in (ROOT / "README.md").read_text(encoding="utf-8")
