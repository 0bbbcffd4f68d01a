import json
import tomllib

import pytest
from jsonschema import Draft202012Validator

from harness.core.system import installed_systems
from harness.scenario.keys import keys_of
from harness.scenario.schema import (
    MEASUREMENT,
    MODELS,
    REFERENCE,
    SCHEMAS,
    measurement,
    reference,
    schema_of,
    write_schemas,
)
from harness.scenario.target import target_model
from tests.support.paths import SCENARIOS

FILES = [
    file
    for folder in ("workloads", "targets", "studies", "slos")
    for file in sorted((SCENARIOS / folder).glob("*.toml"))
]
HOW_TO = "run: python -m harness.scenario.schema"


@pytest.mark.parametrize("name", MODELS)
def test_committed_schema_is_current(name, tmp_path):
    """The schema that editors read is the one the models make."""
    write_schemas(tmp_path)
    file = f"{name}.schema.json"
    made, committed = ((folder / file).read_text("utf-8") for folder in (tmp_path, SCHEMAS))
    assert made == committed, HOW_TO


def test_reference_is_current():
    """The keys that people read about are the ones the models have."""
    document = REFERENCE.read_text("utf-8")
    assert reference(document) == document, HOW_TO


def test_table_of_figures_is_current():
    """The figures that people read about are the ones of the catalogue."""
    document = MEASUREMENT.read_text("utf-8")
    assert measurement(document) == document, HOW_TO


@pytest.mark.parametrize("name", MODELS)
def test_every_key_has_a_meaning(name):
    """No key goes without a sentence on what it does."""
    assert [] == [key.path for key in keys_of(MODELS[name]) if not key.field.description]


@pytest.mark.parametrize("name", MODELS)
def test_schema_is_a_schema_without_null(name):
    """The schema is valid itself and asks for nothing TOML cannot write."""
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert "null" not in json.dumps(schema)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_scenario_file_names_its_schema_and_keeps_it(file):
    """An editor that follows the first line finds the schema and no mistake in the file."""
    text = file.read_text("utf-8")
    schema_file = file.parent / text.splitlines()[0].removeprefix("#:schema ")
    validator = Draft202012Validator(json.loads(schema_file.read_text("utf-8")))
    assert [] == [error.message for error in validator.iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "Additional properties are not allowed"),
        ({"publishing": {"rate_per_s": 1, "messages_per_day": 1}}, "is valid under each of"),
        ({"publishing": {"rate_per_s": 0}}, "0 is less than or equal to the minimum of 0"),
        (
            {"slos": [{"metric": "cost.usd_run", "op": "<=", "limit": 1, "phase": "measure"}]},
            "'cost.usd_run' is not one of",
        ),
        (
            {"slos": [{"metric": "deliveries.ratio", "op": ">=", "limit": 1, "user_class": "all"}]},
            "'all' is not one of",
        ),
        ({"slos": [{"metric": "x", "op": "<=", "limit": 1}]}, "'x' is not valid under any of"),
        (
            {"slos": [{"metric": "requests.GET /.latency_ms.p98", "op": "<=", "limit": 1}]},
            "'requests.GET /.latency_ms.p98' is not valid under any of",
        ),
        (
            {"population": {"subscribers": 1, "chatters": 1, "others": {"Browser": -1}}},
            "-1 is less than the minimum of 0",
        ),
    ],
)
def test_schema_refuses_what_the_models_refuse(change, message):
    """Editors mark unknown keys, two rates, values out of range and unknown figures."""
    data = tomllib.loads((SCENARIOS / "workloads" / "quickstart.toml").read_text("utf-8")) | change
    errors = [
        error.message for error in Draft202012Validator(schema_of("workload")).iter_errors(data)
    ]
    assert [True] == [message in error for error in errors if message in error]


def test_schema_knows_the_options_of_each_system():
    """Editors mark a key that the emulator of the target's own system does not have."""
    validator = Draft202012Validator(schema_of("target"))
    target = {"name": "t", "system": "appsync-events", "emulated": True}
    good = {"namespaces": ["default", {"name": "news"}], "quotas": {"enabled": False}}
    assert [] == list(validator.iter_errors(target | {"emulator": good}))
    assert [] != list(validator.iter_errors(target | {"emulator": {"name_spaces": ["default"]}}))


def test_every_key_of_every_system_has_a_meaning():
    """No key of a system's own emulator goes without a sentence on what it does."""
    models = [target_model(system) for system in installed_systems()]
    keys = [key for model in models for key in keys_of(model)]
    assert [] == [key.path for key in keys if not key.field.description]
