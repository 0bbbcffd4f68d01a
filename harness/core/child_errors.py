"""How a child process reports its error to its parent: as one JSON object, never through a log.

An emulator's processes and ``harness emulate --json`` write it to a pipe. The load process writes
it to the file that its parent names in the environment.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from harness.core.errors import HarnessError, ScenarioError, ScenarioProblem
from harness.core.exit_codes import ExitCode
from harness.core.outside_text import redacted

ERROR_FILE_VARIABLE = "HARNESS_ERROR_FILE"
"""Names the file for the error; set by a parent for its child only."""

_HINT = "\nhint: "


class ChildError(HarnessError):
    """An error that a child process reported; the sentence is the child's own.

    Args:
        parts: Where, found and required of the child's error, where it has them.
    """

    def __init__(
        self,
        kind: str,
        sentence: str,
        hint: str | None,
        exit_code: ExitCode,
        parts: Sequence[str] = (),
    ) -> None:
        where, found, required = parts or (kind, sentence, "")
        super().__init__(where, found, required, hint)
        self.sentence = sentence
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.sentence}{_HINT}{self.hint}" if self.hint else self.sentence


def encode_error(error: Exception) -> bytes:
    """Return an error as ``decode_error`` takes it; any but a ``HarnessError`` is a bug."""
    if isinstance(error, HarnessError):
        sentence, _, hint = str(error).partition(_HINT)
        code = error.exit_code
        parts = [redacted(text) for text in (error.where, error.found, error.required)]
    else:
        said = " ".join(str(error).split())
        finding = f"{type(error).__name__} ({said})" if said else type(error).__name__
        sentence, hint = f"unexpected {finding}, a bug of the harness", ""
        code, parts = ExitCode.INTERNAL_ERROR, []
    problems = error.problems if isinstance(error, ScenarioError) else ()
    return orjson.dumps(
        {
            "error": type(error).__name__,
            "sentence": sentence,
            "hint": hint or None,
            "exit_code": int(code),
            "parts": parts,
            "problems": [asdict(problem) for problem in problems],
        }
    )


def decode_error(text: bytes) -> HarnessError | None:
    """Return the error that a child reported; None where the text is no such report."""
    try:
        told = orjson.loads(text)
        if told["problems"]:
            return ScenarioError([ScenarioProblem(**problem) for problem in told["problems"]])
        code = ExitCode(told["exit_code"])
        parts = told.get("parts", ())
        return ChildError(told["error"], told["sentence"], told["hint"], code, parts)
    except (ValueError, TypeError, KeyError):
        return None


def report_error(error: Exception) -> None:
    """Report an error to the parent, if it asked for errors; the first of several stays."""
    named = os.environ.get(ERROR_FILE_VARIABLE)
    if not named:
        return
    # There is one already, or no room: the error itself stands on standard error as well.
    with contextlib.suppress(OSError), Path(named).open("xb") as file:
        file.write(encode_error(error))


def read_error(file: Path) -> HarnessError | None:
    """Return the error that a child reported in a file; None where it reported none."""
    try:
        return decode_error(file.read_bytes())
    except OSError:
        return None
