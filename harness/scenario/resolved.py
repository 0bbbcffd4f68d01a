"""How the processes of a run pass on its resolved plan, so that files are read once.

Secrets of the user are not in it, only the names of their variables. The keys of an emulator are:
they guard nothing but that emulator.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from harness.scenario.plan import Plan
from harness.scenario.target import Target


def encode_plan(plan: Plan) -> bytes:
    """Return a resolved plan as ``decode_plan`` takes it."""
    return orjson.dumps(plan.model_dump(mode="json"))


def decode_plan(text: bytes) -> Plan:
    """Return the plan that ``encode_plan`` was given."""
    return Plan.model_validate_json(text)


@contextmanager
def plan_file(plan: Plan) -> Iterator[Path]:
    """Provide a file with a resolved plan, readable by this user only, until left."""
    with tempfile.NamedTemporaryFile(prefix="harness-plan-", suffix=".json") as file:
        file.write(encode_plan(plan))
        file.flush()
        yield Path(file.name)


def encode_target(file: str, target: Target) -> bytes:
    """Return a resolved target as one line, with its file as the user wrote it, for messages."""
    body = {"file": file, "target": target.model_dump(mode="json")}
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def decode_target(line: bytes) -> tuple[str, Target]:
    """Return file and target from what ``encode_target`` made."""
    body = orjson.loads(line)
    return body["file"], Target.model_validate_json(orjson.dumps(body["target"]))
