"""The tables of the documentation that are generated: scenario keys and summary figures."""

import json
from itertools import groupby

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.core.metric_types import Metric
from harness.core.metrics import METRICS
from harness.scenario.keys import Key, TomlSchema, choices_of, field_at, keys_of, tag_of
from harness.scenario.model import Unit

_TYPES = {
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "string": "text",
    "date-time": "date and time",
    "object": "table",
}
_ENTRIES = {"string": "text", "array": "arrays", "integer": "whole numbers", "number": "numbers"}
_LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}


def with_section(document: str, name: str, section: str) -> str:
    """Return a document with a section between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = document.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n\n{section}\n{end}{after}"


def keys_in_markdown(model: type[BaseModel], besides: type[BaseModel] | None = None) -> str:
    """Return a heading and a table of keys for each table of a scenario file.

    Leaves out the keys that the model ``besides`` has too, with the same choices.
    """
    known = {(key.path, choices_of(key.field)) for key in keys_of(besides)} if besides else set()
    tables: dict[tuple[str, type[BaseModel]], dict[str, Key]] = {}
    for key in keys_of(model):
        if (key.path, choices_of(key.field)) not in known:
            # A table that stands in several alternatives is shown once.
            tables.setdefault((key.table, key.model), {})[key.name] = key
    return "\n".join(
        _section(model, table, inner, list(keys.values()))
        for (table, inner), keys in tables.items()
    )


def metrics_in_markdown() -> str:
    """Return a row for each figure of a run's summary; figures computed alike share one."""
    columns = ("figure", "unit", "formula", "over", "better", "an SLO may narrow it down by")
    rows = [f"| {' | '.join(columns)} |", "| --- | --- | --- | --- | --- | --- |"]
    for _, group in groupby(METRICS.values(), key=_how_computed):
        first, *others = group
        block = first.name.rpartition(".")[0]
        names = [first.name, *(other.name.removeprefix(f"{block}.") for other in others)]
        narrowed_by = ", ".join(f"`{key}`" for key in sorted(first.scope.narrowed_by))
        figures = ", ".join(f"`{name}`" for name in names)
        cells = (figures, first.unit, first.formula, first.scope.over, first.better, narrowed_by)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def _how_computed(metric: Metric) -> tuple[object, ...]:
    block = metric.name.rpartition(".")[0]
    return block, metric.unit, metric.formula, metric.scope, metric.better


def _section(file: type[BaseModel], table: str, model: type[BaseModel], keys: list[Key]) -> str:
    head = ["| key | type | unit | default | meaning |", "| --- | --- | --- | --- | --- |"]
    rows = [*head, *map(_row, keys), ""]
    field = field_at(file, table.split("."))
    if field is None:  # The keys at the top of the file.
        return "\n".join(rows)
    is_array = str(field.annotation).startswith("tuple")
    title = f"### `[[{table}]]`" if is_array else f"### `[{table}]`"
    tag, word = tag_of(model)
    title += f' with `{tag} = "{word}"`' if tag else ""
    about = (model.__doc__ or "").strip() + (" Must be given." if field.is_required() else "")
    return "\n".join([title, "", about, "", *rows])


def _row(key: Key) -> str:
    units = [entry.name for entry in key.field.metadata if isinstance(entry, Unit)]
    meaning = key.field.description or ""
    cells = (f"`{key.name}`", _type(key), "".join(units), _default(key.field), meaning)
    return f"| {' | '.join(cells)} |"


def _type(key: Key) -> str:
    schema = key.model.model_json_schema(schema_generator=TomlSchema)["properties"][key.name]
    items = schema.get("items")
    values = items or schema
    limits = [f"{sign} {values[limit]:,.15g}" for limit, sign in _LIMITS.items() if limit in values]
    kinds = [
        each.get("format", each["type"])
        for each in ([values] if "type" in values else values["anyOf"])
    ]
    words = " or ".join(f'`"{word}"`' for word in choices_of(key.field))
    name = words or " or ".join((_ENTRIES if items else _TYPES)[kind] for kind in kinds)
    return " ".join(["array of" if items else "", name, ", ".join(limits)]).strip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if field.default is None:
        return "none"
    return f"`{json.dumps(field.default)}`"
