"""The JSON Schema of scenario files, made from the models, for editors.

``python -m harness.scenario.schema`` brings the schemas and the tables in ``docs`` up to date.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from harness.core.distribution import DISTRIBUTION
from harness.core.system import registrations
from harness.scenario.keys import TomlSchema
from harness.scenario.reference import keys_in_markdown, metrics_in_markdown, with_section
from harness.scenario.shipped import shipped_root
from harness.scenario.slo_file import SloFile
from harness.scenario.study import Study
from harness.scenario.target import Target, auth_model, client_model, emulator_model, target_model
from harness.scenario.workload import Workload

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[BaseModel]] = {
    "workload": Workload,
    "target": Target,
    "study": Study,
    "slos": SloFile,
}

SCHEMAS = shipped_root() / "scenarios" / "schemas"
REFERENCE = shipped_root() / "docs" / "scenarios.md"
MEASUREMENT = shipped_root() / "docs" / "measurement.md"


def schema_of(name: str, *more_systems: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind of file; targets may name ``more_systems`` than our own."""
    schema = MODELS[name].model_json_schema(schema_generator=TomlSchema)
    if MODELS[name] is Target:
        schema |= _of_each_system(schema, list(dict.fromkeys([*_our_systems(), *more_systems])))
    return {"$schema": DIALECT, **schema}


def _our_systems() -> list[str]:
    """Return the systems that come with the harness, whatever else is installed."""
    return [found.name for found in registrations() if found.distribution == DISTRIBUTION]


def _of_each_system(target: dict[str, Any], systems: list[str]) -> dict[str, Any]:
    """Return what changes in a target's schema to let each system have its own tables."""
    models: dict[str, dict[str, type[BaseModel]]] = {
        "emulator": {system: emulator_model(system) for system in systems},
        "client": {system: client_model(system) for system in systems},
        "auth": {system: auth_model(system) for system in systems},
    }
    references, shared = models_json_schema(
        [
            (model, "validation")
            for of_systems in models.values()
            for model in dict.fromkeys(of_systems.values())
        ],
        schema_generator=TomlSchema,
    )
    properties = target["properties"]
    tables = {
        # For editors that complete keys; the conditions below say which one it must be.
        table: {
            "anyOf": [references[model, "validation"] for model in dict.fromkeys(by.values())],
            "description": properties[table]["description"],
        }
        for table, by in models.items()
    }
    return {
        "$defs": target["$defs"] | shared["$defs"],
        "properties": properties
        | {"system": properties["system"] | {"enum": list(systems)}}
        | tables,
        "allOf": [
            {
                "if": {"properties": {"system": {"const": system}}},
                "then": {
                    "properties": {
                        table: references[by[system], "validation"] for table, by in models.items()
                    }
                },
            }
            for system in systems
        ],
    }


def schema_text(name: str, *more_systems: str) -> str:
    """Return the text of the schema's file."""
    return f"{json.dumps(schema_of(name, *more_systems), indent=2, ensure_ascii=False)}\n"


def write_schemas(folder: Path) -> None:
    """Write a schema for each kind of file, ``workload.schema.json`` first, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        (folder / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")


def reference(document: str) -> str:
    """Return the reference for people with its tables brought up to date; other text stays."""
    for name, model in MODELS.items():
        if model is not SloFile:  # Its keys are among those of a workload.
            document = with_section(document, f"keys of a {name}", keys_in_markdown(model))
    for system in _our_systems():
        own = keys_in_markdown(target_model(system), besides=Target)
        document = with_section(document, f"keys of {system}", own)
    return document


def measurement(document: str) -> str:
    """Return what the figures of a run mean, with its table brought up to date."""
    return with_section(document, "figures", metrics_in_markdown())


if __name__ == "__main__":
    write_schemas(SCHEMAS)
    REFERENCE.write_text(reference(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
    MEASUREMENT.write_text(measurement(MEASUREMENT.read_text(encoding="utf-8")), encoding="utf-8")
