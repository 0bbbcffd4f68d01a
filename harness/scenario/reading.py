"""Read scenario files as TOML, and report problems of the file itself."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.core.errors import ScenarioError, ScenarioProblem, closest
from harness.scenario.problems import Source, problems_of, shown
from harness.scenario.shipped import KINDS, shipped_names
from harness.scenario.target import Target
from harness.scenario.workload import Workload

Model = type[Workload | Target]
ModelT = TypeVar("ModelT", bound=BaseModel)

_TEXT_HINT = 'text stands in double quotes: name = "quickstart"'
_LINE = re.compile(r"at line (\d+)")


def read_source(file: Path, expected: Model | None, problems: list[ScenarioProblem]) -> Source:
    """Return the content of ``file``, ready for validation.

    Args:
        file: The file to read.
        expected: What it should be; None where the file itself shall tell.
        problems: Takes what is wrong with the file as a whole; it is then not readable.
    """
    unreadable = Source(file=str(file), data={}, model=expected or Workload, readable=False)
    data = read_toml(file, problems)
    if data is None:
        return unreadable
    kind = kind_of(data, file)
    if expected and kind not in {None, expected}:
        problems.append(_wrong_kind(file, expected))
        return unreadable
    model = expected or kind
    if model is None:
        problems.append(_no_kind(file))
        return unreadable
    return Source(file=str(file), data=data, model=model)


def kind_of(data: dict[str, Any], file: Path) -> Model | None:
    """Return what the keys say a file is, or else its folder's name; None if neither does."""
    workload_keys = len(data.keys() & (Workload.model_fields.keys() - Target.model_fields.keys()))
    target_keys = len(data.keys() & (Target.model_fields.keys() - Workload.model_fields.keys()))
    if workload_keys != target_keys:
        return Workload if workload_keys > target_keys else Target
    folders: dict[str, Model] = {"workloads": Workload, "targets": Target}
    return folders.get(file.absolute().parent.name)


def read_toml(file: Path, problems: list[ScenarioProblem]) -> dict[str, Any] | None:
    """Return a file's tables and values; None if unreadable, with a problem added."""
    label, text = str(file), ""
    try:
        text = file.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except OSError as error:
        problems.append(_unreadable(file, error))
    except UnicodeDecodeError as error:
        found = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
        problems.append(ScenarioProblem(label, "", found, "must be UTF-8 text"))
    except (ValueError, RecursionError) as error:
        problems.append(_not_toml(label, text, error))
    return None


def read_model(file: Path, model: type[ModelT]) -> ModelT:
    """Read a file that one model describes.

    Raises:
        ScenarioError: With every problem of the file.
    """
    problems: list[ScenarioProblem] = []
    data = read_toml(file, problems)
    if data is None:
        raise ScenarioError(problems)
    return validated(str(file), data, model)


def validated(where: str, data: dict[str, Any], model: type[ModelT]) -> ModelT:
    """Return the model of plain data; errors name ``where`` in place of a file.

    Raises:
        ScenarioError: With everything that is wrong with the data.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, Source(where, data, model))) from None


def _unreadable(file: Path, error: OSError) -> ScenarioProblem:
    label = str(file)
    if isinstance(error, FileNotFoundError):
        stems = {found.stem: found for found in file.parent.glob("*.toml")}
        near = closest(file.stem, stems)
        hint = f"did you mean {stems[near]}?" if near else _where_to_look(file)
        return ScenarioProblem(label, "", "no such file", "must be a file that exists", hint)
    if isinstance(error, IsADirectoryError):
        return ScenarioProblem(label, "", "a folder", "must be a file")
    return ScenarioProblem(label, "", str(error.strerror).lower(), "must be readable")


def _where_to_look(file: Path) -> str:
    if any(file.stem in shipped_names(kind) for kind in KINDS):
        return f"the harness ships a file of this name: write {file.stem}"
    if not file.parent.is_dir():
        return f"the folder {file.parent} does not exist"
    return f"the folder searched is {file.parent.absolute()}"


def _not_toml(file: str, text: str, error: Exception) -> ScenarioProblem:
    if isinstance(error, RecursionError):
        return ScenarioProblem(file, "", "brackets nested too deeply", "must be TOML")
    numbered = _LINE.search(str(error))
    lines = text.splitlines()
    # A carriage return alone ends a line for Python but not for TOML, so the line may be off.
    line = lines[min(int(numbered[1]), len(lines)) - 1].strip() if numbered and lines else ""
    found = shown(line.partition("=")[0], line) if line else "unexpected end of file"
    hint = _TEXT_HINT if "Invalid value" in str(error) else None
    return ScenarioProblem(file, "", found, f"must be TOML: {error}", hint)


def _wrong_kind(file: Path, expected: Model) -> ScenarioProblem:
    wanted, found = ("workload", "target") if expected is Workload else ("target", "workload")
    hint = "a run takes the workload first, and the target after --target"
    return ScenarioProblem(str(file), "", f"a {found}", f"must be a {wanted}", hint)


def _no_kind(file: Path) -> ScenarioProblem:
    hint = "a workload has [population] and [publishing], a target has system"
    return ScenarioProblem(str(file), "", "neither", "must be a workload or a target", hint)
