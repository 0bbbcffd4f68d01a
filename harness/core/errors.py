"""Every error a user can meet, told apart by whose fault it is.

::

    HarnessError
    ├── ScenarioError           the scenario files or flags are wrong
    ├── LocustfileError         the locustfile does not fit the workload, or cannot be loaded
    ├── TargetUnreachableError  the system under test cannot be joined
    ├── RemoteProtocolError     the system under test broke its protocol
    ├── LocalProtocolError      we used a protocol wrongly: a bug of ours
    ├── InvalidRunError         the measurement cannot be trusted
    └── MachineError            this machine cannot do what was asked
        └── NotInstalledError   an optional package is missing

Errors carry data; the sentence is built in ``__str__``: *where: what was found, what was
required*, then a hint on a line of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from harness.core.exit_codes import ExitCode
from harness.core.outside_text import redacted


class HarnessError(Exception):
    """An error with a place, a finding, a requirement and perhaps a hint.

    Args:
        where: File and key, address, flag or process in which it happened.
        found: What was found there.
        required: What would have been right.
        hint: What to do next; printed on a line of its own.
    """

    exit_code: ExitCode = ExitCode.INTERNAL_ERROR

    def __init__(self, where: str, found: str, required: str, hint: str | None = None) -> None:
        super().__init__(where, found, required, hint)
        self.where = where
        self.found = found
        self.required = required
        self.hint = hint

    def __str__(self) -> str:
        sentence = redacted(f"{self.where}: {self.found}, {self.required}")
        return f"{sentence}\nhint: {self.hint}" if self.hint else sentence


@dataclass(frozen=True, slots=True)
class ScenarioProblem:
    """One thing wrong with a scenario: file, key, value found, rule, hint."""

    file: str
    key: str
    found: str
    rule: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}: {self.key}" if self.key else self.file
        sentence = (
            f"{place} {self.rule}, got {self.found}" if self.found else f"{place} {self.rule}"
        )
        return f"{sentence}\nhint: {self.hint}" if self.hint else sentence


class ScenarioError(HarnessError):
    """A workload, a target or a flag does not validate; holds all problems at once."""

    exit_code = ExitCode.BAD_USAGE

    def __init__(self, problems: Sequence[ScenarioProblem]) -> None:
        first = problems[0]
        super().__init__(first.file, first.found, first.rule, first.hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return redacted("\n".join(str(problem) for problem in self.problems))


class LocustfileError(HarnessError):
    """The locustfile cannot be loaded, or its user classes are not those that the plan needs."""

    exit_code = ExitCode.BAD_USAGE


class TargetUnreachableError(HarnessError):
    """The system under test could not be reached, or rejected every connection."""

    exit_code = ExitCode.TARGET_UNREACHABLE


class RemoteProtocolError(HarnessError):
    """The system under test sent something its protocol does not allow.

    Attributes:
        code: What it is counted under: ``protocol_error``, or the name of the limit it crossed.
    """

    exit_code = ExitCode.RUN_INVALID

    def __init__(
        self, where: str, found: str, required: str, *, code: str = "protocol_error"
    ) -> None:
        super().__init__(where, found, required)
        self.code = code


class LocalProtocolError(HarnessError):
    """The harness used a protocol wrongly; always a bug of ours."""


class InvalidRunError(HarnessError):
    """The measurement cannot be trusted, whatever the system did."""

    exit_code = ExitCode.RUN_INVALID


class MachineError(HarnessError):
    """This machine cannot do what was asked: files, ports, memory, disk."""

    exit_code = ExitCode.BAD_USAGE


class NotInstalledError(MachineError):
    """What was asked for needs a package that only an extra of ours installs.

    Args:
        extra: The extra, as ``pip install 'fanout-harness[extra]'`` names it.
    """

    def __init__(self, where: str, error: ImportError, extra: str) -> None:
        super().__init__(
            where,
            f"{error.name} is not installed",
            f"it comes with the extra [{extra}]",
            f"pip install 'fanout-harness[{extra}]'",
        )


def os_reason(error: OSError) -> str:
    """Return what the operating system says of an error, as a part of a sentence."""
    return (error.strerror or str(error)).lower()


def error_lines(error: HarnessError) -> str:
    """Return an error as the user sees it: each of its problems as ``error: …``, hints below."""
    problems = error.problems if isinstance(error, ScenarioError) else (error,)
    return redacted("\n".join(f"error: {problem}" for problem in problems))


def closest(written: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to what was written, or None where none is close."""
    by_folded = {word.casefold(): word for word in known}
    for folded, word in by_folded.items():
        if sorted(folded) == sorted(written.casefold()):
            return word  # Letters swapped, as in "=<".
        if "".join(part[:1] for part in folded.split("-")) == written.casefold():
            return word  # Initials, as in "sse".
    matches = get_close_matches(written.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(written: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the closest known word, or None where none is close."""
    word = closest(written, known)
    return f"did you mean {word}?" if word else None
