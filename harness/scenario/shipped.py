"""Find files shipped with the harness, and scenario files by name.

In a wheel they lie inside the package, in a checkout beside it; pyproject.toml maps the one to the
other.
"""

from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import ScenarioError, ScenarioProblem, did_you_mean

KINDS = ("workloads", "targets", "studies", "slos")
"""Folders of scenario files, in the harness and in projects."""

PROJECT = Path("scenarios")
"""Folder of the scenarios of a project, relative to the project."""

_PACKAGE = Path(__file__).resolve().parents[1]
_LISTED = "all names: harness examples"


def shipped_root() -> Path:
    """Return the folder that holds ``scenarios``, ``docs`` and ``deploy`` of this installation."""
    inside = _PACKAGE / "shipped"
    return inside if inside.is_dir() else _PACKAGE.parent


def shipped_file(kind: str, name: str) -> Path:
    """Return the file of a scenario that comes with the harness."""
    return shipped_root() / "scenarios" / kind / f"{name}.toml"


def shipped_names(kind: str) -> list[str]:
    """Return the names of the scenarios of a kind that come with the harness."""
    return _names(shipped_root() / "scenarios" / kind)


def known_names(kind: str) -> list[str]:
    """Return the names of a kind that can be given from this folder, the project's own first."""
    return list(dict.fromkeys([*_names(PROJECT / kind), *shipped_names(kind)]))


def scenario_file(kind: str, given: str) -> Path:
    """Return the file that is meant by a path or a name.

    A file that exists is taken as it is. Otherwise a name, without a folder and an ending, is
    looked up among the project's own scenarios and then among those that come with the harness.

    Raises:
        ScenarioError: If it is a name, and nothing of that kind has it.
    """
    if not is_name(given) or Path(given).is_file():
        return Path(given)
    found = next(_files(kind, given), None)
    if found is None:
        raise _unknown(given, _singular(kind), known_names(kind))
    return found


def scenario_named_in(folder: Path, kind: str, given: str) -> Path:
    """Return the scenario that a file of a folder names: by its path from there, or by its name.

    Raises:
        ScenarioError: If it is a name, and nothing of that kind has it.
    """
    file = folder / given
    return scenario_file(kind, given) if is_name(given) and not file.is_file() else file


def scenario_files(given: str) -> list[Path]:
    """Return the files of any kind that are meant by a path or a name.

    Raises:
        ScenarioError: If it is a name, and nothing has it.
    """
    if not is_name(given) or Path(given).is_file():
        return [Path(given)]
    found = [file for kind in KINDS if (file := next(_files(kind, given), None))]
    if not found:
        known = [name for kind in KINDS for name in known_names(kind)]
        raise _unknown(given, "scenario", known)
    return found


def is_name(given: str) -> bool:
    """Return whether a text is a name: it has neither a folder nor a file ending."""
    return bool(given) and not {"/", "\\", "."} & set(given)


def opening_comment(file: Path) -> str:
    """Return the opening comment of a scenario file."""
    comments = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("#:"):
            comments.append(line.removeprefix("#").strip())
    return "\n".join(comments)


def summary(file: Path) -> str:
    """Return the first sentence of a scenario file's opening comment."""
    text = opening_comment(file).replace("\n", " ")
    return text.partition(". ")[0].rstrip(".")


def _names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.toml"))


def _files(kind: str, name: str) -> Iterator[Path]:
    own = PROJECT / kind / f"{name}.toml"
    return (file for file in (own, shipped_file(kind, name)) if file.is_file())


def _singular(kind: str) -> str:
    return {"studies": "study", "slos": "SLO file"}.get(kind, kind.removesuffix("s"))


def _one(kind: str) -> str:
    return "an SLO file" if kind == "slos" else f"a {_singular(kind)}"


def _unknown(given: str, what: str, known: list[str]) -> ScenarioError:
    rule = f"must be a file that exists, or the name of a known {what}"
    others = [kind for kind in KINDS if given in known_names(kind)]
    near = f"{given} is {_one(others[0])}" if others else did_you_mean(given, known)
    hint = f"{near} ({_LISTED})" if near else _LISTED
    return ScenarioError([ScenarioProblem(given, "", "no such file", rule, hint)])
