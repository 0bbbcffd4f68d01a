import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|", PAGE, re.MULTILINE)
BASES = (ROOT, ROOT / "harness")


def quoted(cell: str) -> list[str]:
    """Return what a cell of a table has between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def names_in(file: Path) -> set[str]:
    """Return the classes, functions and annotated attributes that a module defines."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


@pytest.mark.parametrize(("step", "files", "names"), STEPS)
def test_step_names_what_its_files_define(step: str, files: str, names: str) -> None:
    """Each file of a step exists, and each of its names is defined in one of them."""
    defined = {name for file in quoted(files) for name in names_in(ROOT / "harness" / file)}
    assert set() == set(quoted(names)) - defined, step


def test_page_follows_a_message_and_a_key() -> None:
    """Without rows the test above would pass whatever the page says."""
    assert [step for step, *_ in STEPS].count("1") == 2


def test_files_and_folders_named_in_prose_exist() -> None:
    """A module or folder between backticks is one of the repository or of the package."""
    named = re.findall(r"`([\w/]+(?:\.py|/))`", PAGE)
    assert [] == [name for name in named if not any((base / name).exists() for base in BASES)]
