"""How a process of an emulator tells its parent why it cannot start: a user's error, as JSON."""

from dataclasses import asdict

import orjson

from harness.core.errors import HarnessError, MachineError, ScenarioError, ScenarioProblem


def encode_failure(error: HarnessError) -> bytes:
    """Return an error as ``decode_failure`` takes it."""
    if isinstance(error, ScenarioError):
        return orjson.dumps({"problems": [asdict(problem) for problem in error.problems]})
    parts = {"where": error.where, "found": error.found, "required": error.required}
    return orjson.dumps({**parts, "hint": error.hint})


def decode_failure(text: bytes) -> HarnessError | None:
    """Return the error that a process told; None where it told none."""
    try:
        told = orjson.loads(text)
        if "problems" in told:
            return ScenarioError([ScenarioProblem(**problem) for problem in told["problems"]])
        return MachineError(**told)
    except (orjson.JSONDecodeError, TypeError):
        return None
