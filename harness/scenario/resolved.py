"""How the processes of a run pass on its resolved plan, so that files are read once.

Secrets of the user are not in it, only the names of their variables. The keys of an emulator are:
they guard nothing but that emulator.
"""

import orjson

from harness.scenario.target import Target


def encode_target(file: str, target: Target) -> bytes:
    """Return a resolved target as one line.

    Args:
        file: Its file, as the user wrote it, for messages.
        target: What the file and the command line say.
    """
    body = {"file": file, "target": target.model_dump(mode="json")}
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def decode_target(line: bytes) -> tuple[str, Target]:
    """Return file and target from what ``encode_target`` made."""
    body = orjson.loads(line)
    return body["file"], Target.model_validate_json(orjson.dumps(body["target"]))
