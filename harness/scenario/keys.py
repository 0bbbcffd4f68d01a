"""All keys of scenario files, read from the models."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Location = Iterable[str | int]
"""Where pydantic found something: keys, places in arrays, and tags of unions among them."""

TAGS = ("kind", "distribution")
"""Keys whose single allowed value distinguishes the alternatives of a table."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a scenario file.

    Attributes:
        table: Dotted path of the table it stands in; "" at the top.
    """

    table: str
    name: str
    field: FieldInfo
    model: type[BaseModel]

    @property
    def path(self) -> str:
        """The key with its table: "publishing.rate_per_s"."""
        return f"{self.table}.{self.name}" if self.table else self.name


class TomlSchema(GenerateJsonSchema):
    """Omits null, which TOML cannot write, and titles that only repeat the key."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - pydantic's
        """Give no field a title."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Describe an optional key by the value it has where it is given."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Name a default unless it is to leave the key out."""
        described = super().default_schema(schema)
        default = described.pop("default", None)
        return described if default is None else described | {"default": _without_null(default)}


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value


def keys_of(model: type[BaseModel], table: str = "") -> Iterator[Key]:
    """Yield every key of ``model``, each table's plain keys before the tables inside it."""
    keys = [Key(table, name, field, model) for name, field in model.model_fields.items()]
    yield from (key for key in keys if not models_in(key.field.annotation))
    for key in keys:
        for inner in models_in(key.field.annotation):
            yield from keys_of(inner, key.path)


def once_keys_of(model: type[BaseModel], table: str = "") -> Iterator[Key]:
    """Yield the keys that a file has once at most: none of a table in an array."""
    for name, field in model.model_fields.items():
        yield Key(table, name, field, model)
        if get_origin(field.annotation) is not tuple:
            for inner in models_in(field.annotation):
                yield from once_keys_of(inner, Key(table, name, field, model).path)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models inside an annotation such as ``tuple[Slo, ...]`` or ``Burst | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def models_at(model: type[BaseModel], location: Location) -> list[type[BaseModel]]:
    """Return the models of the table at ``location``; several where it has alternatives."""
    models = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [inner.model_fields[part] for inner in models if part in inner.model_fields]
        if fields:
            models = [inner for field in fields for inner in models_in(field.annotation)]
        else:
            models = [inner for inner in models if part == tag_of(inner)[1]]
    return models


def field_at(model: type[BaseModel], location: Location) -> FieldInfo | None:
    """Return the description of the key at ``location``."""
    *table, name = (part for part in location if isinstance(part, str))
    fields = (inner.model_fields.get(name) for inner in models_at(model, table))
    return next((field for field in fields if field), None)


def tag_of(model: type[BaseModel]) -> tuple[str, str]:
    """Return key and value that distinguish a table from its alternatives; empty if none."""
    tags = ((name, choices_of(model.model_fields.get(name))) for name in TAGS)
    return next(((name, words[0]) for name, words in tags if len(words) == 1), ("", ""))


def choices_of(field: FieldInfo | None) -> tuple[str, ...]:
    """Return the allowed values of a key or of the entries of its array; empty if unrestricted."""
    return tuple(_words_in(field.annotation)) if field else ()


def _words_in(annotation: Any) -> Iterator[str]:
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _words_in(part)
