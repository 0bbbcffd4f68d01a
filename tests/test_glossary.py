import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "harness").rglob("*.py"))


def ruled_out(heading: str) -> set[str]:
    """Return the words of the first column of the table under a heading."""
    _, _, table = PAGE.partition(f"| {heading} |")
    rows = re.findall(r"^\| (.+?) \|", table.partition("\n\n")[0], re.MULTILINE)
    return {word for row in rows for word in row.split(", ") if word != "---"}


NAMES, PHRASES = ruled_out("do not use in names"), ruled_out("do not write")
PHRASE = re.compile(rf"\b(?:{'|'.join(sorted(PHRASES))})\b", re.IGNORECASE)


def words_of(name: str) -> set[str]:
    """Return the words of a name in snake or camel case, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def names_in(file: Path, tree: ast.Module) -> Iterator[str]:
    """Yield the names of a module, its package, and the classes and functions in it."""
    yield from file.relative_to(ROOT / "harness").with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def texts_in(tree: ast.Module) -> Iterator[str]:
    """Yield the string literals of a module, docstrings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_glossary_has_both_tables() -> None:
    """Without words the tests below would pass whatever the code says."""
    assert "muster" in NAMES
    assert "nobody" in PHRASES


def test_no_name_or_text_has_a_word_that_is_ruled_out() -> None:
    """docs/glossary.md has the term to use instead."""
    found: list[str] = []
    for file in MODULES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(ROOT)
        found += [f"{where}: {name}" for name in names_in(file, tree) if words_of(name) & NAMES]
        found += [f"{where}: {text}" for text in texts_in(tree) if PHRASE.search(text)]
    assert [] == found
