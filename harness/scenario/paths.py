"""Paths in a scenario file: relative to that file; those of ``--set``, to the working directory."""

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.core.errors import ScenarioProblem
from harness.scenario.keys import models_in
from harness.scenario.model import PathKind
from harness.scenario.problems import Source

_PYTHON = ".py"


class _Found(NamedTuple):
    """A path in a file: the table it stands in, its key there, the whole key, and its kind."""

    table: dict[str, Any]
    name: str
    key: str
    kind: PathKind


def resolve_paths(source: Source) -> tuple[dict[str, Any], list[ScenarioProblem]]:
    """Return a file's data with its paths made absolute, and those that lead to no file.

    Each process of a run can then open them, wherever it runs on this machine.
    """
    problems = []
    data = deepcopy(source.data)
    for found in list(_paths_in(source.model, data, "")):
        written, attribute = _parts(found.table[found.name], found.kind)
        if not written:
            continue
        is_override = source.flag_of(found.key) is not None
        base = Path() if is_override else Path(source.file).parent
        path = os.path.abspath(base / written)  # noqa: PTH100 - "..", but no links, is resolved
        problem = _problem(source, found, written, Path(path), base)
        if problem is None:
            found.table[found.name] = path + attribute
        else:
            problems.append(problem)
    return data, problems


def _problem(
    source: Source, found: _Found, written: str, path: Path, base: Path
) -> ScenarioProblem | None:
    is_there = path.exists() if found.kind is PathKind.FOLDER else path.is_file()
    meant = Path(written)  # Files were once looked for in the working directory.
    from_here = not is_there and meant.exists() and not path.exists()
    if is_there or (found.kind is PathKind.FOLDER and not from_here):
        return None
    hint = f"the resolved path is {path}"
    if from_here:
        there = os.path.relpath(meant, base)
        hint = f"paths in a file are relative to that file: {json.dumps(there)}"
    rule = "must be a file that exists" if found.kind is not PathKind.FOLDER else "must be a folder"
    shown = json.dumps(written, ensure_ascii=False)  # Never a secret, whatever its key is called.
    return source.problem(found.key, shown, rule, hint)


def _parts(value: str, kind: PathKind) -> tuple[str, str]:
    """Return the path in a value, "" where it is none, and what follows the path."""
    if kind is not PathKind.FUNCTION:
        return value, ""
    place, colon, attribute = value.rpartition(":")
    return (place, colon + attribute) if place.endswith(_PYTHON) else ("", "")


def _paths_in(model: type[BaseModel], data: Any, prefix: str) -> Iterator[_Found]:
    """Yield the paths in a table and in those inside it, whether or not it validates."""
    if not isinstance(data, dict):
        return
    for name, field in model.model_fields.items():
        value, key = data.get(name), prefix + name
        kind = _kind_of(field)
        if kind is not None and isinstance(value, str):
            yield _Found(data, name, key, kind)
        tables = value if isinstance(value, list) else [value]
        for place, table in enumerate(tables):
            below = f"{key}.{place}." if isinstance(value, list) else f"{key}."
            for inner in models_in(field.annotation):
                yield from _paths_in(inner, table, below)


def _kind_of(field: FieldInfo) -> PathKind | None:
    marks = [*field.metadata, *_marks(field.annotation)]
    return next((mark for mark in marks if isinstance(mark, PathKind)), None)


def _marks(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        yield from _marks(part)
