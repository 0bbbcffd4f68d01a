import ast
import json
import re
import shutil
from pathlib import Path

import pytest

import harness
from harness import HarnessError
from tests.support.paths import ROOT
from tests.support.programs import finished_python

PAGE = ROOT / "docs" / "python.md"
PUBLIC = {
    *("Access", "Api", "Client", "JoinError", "JoinTimes", "Listener", "PublishAnswer", "System"),
    *("Chatter", "Subscriber"),
    *("HarnessError", "RunRecord"),
    *("compare", "judge", "load_plan", "read_record", "run"),
}
HEAVY = {"gevent", "locust", "matplotlib", "numpy", "pandas", "pydantic", "typer"}


def loaded_after(code: str) -> set[str]:
    """Return which heavy packages a process has loaded after some code."""
    show = f"import json, sys; print(json.dumps(sorted({HEAVY!r} & set(sys.modules))))"
    return set(json.loads(finished_python("-c", f"{code}\n{show}").stdout.splitlines()[-1]))


def blocks(section: str) -> list[str]:
    """Return the code of a section of the page."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_public_names_are_these_and_no_others() -> None:
    """Each is a promise; one that goes is a new major version."""
    assert sorted(PUBLIC) == harness.__all__
    assert set(dir(harness)) > PUBLIC


def test_type_checkers_see_the_names_that_are_loaded_late() -> None:
    """The imports that only type checkers read are those of the table, module by module."""
    tree = ast.parse(Path(harness.__file__).read_text(encoding="utf-8"))
    guarded, _ = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        node.module: tuple(alias.name for alias in node.names)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
    }
    assert harness._MODULES == seen


def test_every_public_name_can_be_had_and_is_on_the_page() -> None:
    """In a process of its own, because two of them connect it to Locust."""
    names = "from harness import *; import harness; print(*(n for n in harness.__all__))"
    assert sorted(PUBLIC) == finished_python("-c", names).stdout.split()
    assert set() == {name for name in PUBLIC if f"`{name}`" not in PAGE.read_text()}


def test_importing_the_package_loads_nothing_heavy() -> None:
    """``harness --help`` and every worker import it."""
    assert set() == loaded_after("import harness")


def test_what_a_locustfile_imports_loads_no_pandas() -> None:
    """Nor matplotlib: workers make load."""
    found = loaded_after("from harness import Chatter, Subscriber")
    assert {"locust", "gevent"} == found & {"locust", "gevent", "pandas", "matplotlib"}


def test_what_a_notebook_imports_loads_no_gevent() -> None:
    """Reading, judging, comparing and running patch nothing."""
    found = loaded_after("from harness import compare, judge, load_plan, read_record, run")
    assert set() == found & {"locust", "gevent", "matplotlib"}


def test_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'nothing'"):
        _ = harness.nothing


def test_walk_from_a_record_to_a_chart_runs_as_the_page_shows_it(tmp_path, monkeypatch) -> None:
    """Block after block, on the committed sample."""
    for name in ("sample", "before", "after"):
        shutil.copytree(ROOT / "reports" / "sample", tmp_path / "reports" / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    found = [*blocks("From a record to a chart"), *blocks("Judge and compare")]
    for block in found:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert len(found) == 6
    assert "<svg" in (tmp_path / "fan-out.svg").read_text()


@pytest.mark.slow
def test_run_of_the_page_returns_its_record_and_refuses_what_is_wrong(
    tmp_path, monkeypatch, capsys
) -> None:
    """From an empty folder, by names."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("Run"):
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    record = names["record"]
    assert isinstance(record, harness.RunRecord)
    assert ("checkout 2.1", {"commit": "1a2b3c4"}) == (record.label, record.tags)
    assert [Path("reports")] == [record.folder.parent]
    assert (record.folder / "report.html").is_file()
    said = capsys.readouterr()
    assert "joins.rate_per_s must be" in said.out
    assert said.out.endswith(" 2\n")
    assert "" == said.err


def test_every_error_of_the_api_is_a_harness_error() -> None:
    """One name to catch."""
    assert issubclass(harness.JoinError, HarnessError)
