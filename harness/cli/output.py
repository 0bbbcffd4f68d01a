"""The result of a subcommand in the form that its flags ask for: text, one line, or JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Literal

import orjson
import typer

from harness.cli.terminal import plain
from harness.core.child_errors import report_error
from harness.core.errors import HarnessError, ScenarioError, error_lines
from harness.core.exit_codes import ExitCode
from harness.core.outside_text import redacted

Json = dict[str, Any]


@dataclass
class Output:
    """How the running subcommand prints, and what it has found.

    Attributes:
        as_json: Whether stdout gets one JSON object and nothing else.
        quiet: Whether only the verdict or the result is printed, and no progress.
        log_level: Least severity in the logs of load processes; None for Locust's default.
        result: What it found, under the names of its JSON.
        error: The first error that was reported.
    """

    as_json: bool = False
    quiet: bool = False
    log_level: str | None = None
    result: Json | None = None
    error: HarnessError | None = None


OUTPUT = Output()
"""Of this process, which runs one subcommand."""


def _option(name: str, default: Any, annotation: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


JSON = _option(
    "as_json",
    False,
    Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object instead of text, also of an error."),
    ],
)
QUIET = _option(
    "quiet",
    False,
    Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Print only the verdict or the result; no progress. Errors stay on stderr.",
        ),
    ],
)
LOG_LEVEL = _option(
    "log_level",
    None,
    Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(
            "--log-level",
            metavar="LEVEL",
            envvar="HARNESS_LOG_LEVEL",
            case_sensitive=False,
            help="Least severity in the log of the load processes, of Locust and the harness: "
            "debug, info, warning or error.  [default: info]",
        ),
    ],
)


def takes(*options: Parameter) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds some of these options to a subcommand."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def subcommand(*args: Any, **given: Any) -> None:
            for one in options:
                setattr(OUTPUT, one.name, given.pop(one.name, one.default))
            function(*args, **given)

        own = signature(function)
        parameters = [*own.parameters.values(), *options]
        subcommand.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        subcommand.__annotations__ |= {one.name: one.annotation for one in options}
        return subcommand

    return add


def give(
    result: Callable[[], Mapping[str, Any]],
    show: Callable[[], None],
    brief: Callable[[], str] = str,
) -> None:
    """Give the result of the subcommand.

    Args:
        result: Returns it under the names of its JSON.
        show: Prints it as text.
        brief: Returns it in a line or two, for ``--quiet``.
    """
    if OUTPUT.as_json:
        OUTPUT.result = dict(result())
    elif not OUTPUT.quiet:
        show()
    elif text := brief():
        typer.echo(plain(text))


def note(text: str) -> None:
    """Print a line of progress to stderr, unless only the result is to be printed."""
    if not OUTPUT.quiet:
        typer.echo(text, err=True)


def report(error: HarnessError) -> int:
    """Report an error to the user and to the parent process; return its exit code."""
    report_error(error)
    OUTPUT.error = OUTPUT.error or error
    typer.echo(error_lines(error), err=True)
    return int(error.exit_code)


def log_arguments() -> list[str]:
    """Return the Locust arguments that set the level of its log and of ours."""
    return ["--loglevel", OUTPUT.log_level.upper()] if OUTPUT.log_level else []


def print_json(code: int) -> None:
    """Print result, exit code and error of the subcommand as one JSON object."""
    error = OUTPUT.error
    if error is None and OUTPUT.result is None and code:
        found = "interrupted" if code == ExitCode.INTERRUPTED else f"ended with exit code {code}"
        error = HarnessError("harness", found, "a result needs the subcommand to run to its end")
    result = OUTPUT.result or {}
    head = {
        "exit_code": code,
        "verdict": result.get("verdict"),
        "error": None if error is None else error_json(error),
    }
    typer.echo(orjson.dumps(head | result | {"exit_code": code}, option=orjson.OPT_INDENT_2))


def error_json(error: HarnessError) -> Json:
    """Return an error as plain data: its first problem, the sentences of all, and each of them."""
    problems = [
        {name: text and redacted(text) for name, text in one.items()} for one in _problems(error)
    ]
    return {**problems[0], "message": redacted(str(error)), "problems": problems}


def _problems(error: HarnessError) -> list[dict[str, str | None]]:
    rows = [(error.where, error.found, error.required, error.hint)]
    if isinstance(error, ScenarioError):
        rows = [
            (f"{one.file}: {one.key}" if one.key else one.file, one.found, one.rule, one.hint)
            for one in error.problems
        ]
    return [dict(zip(("where", "found", "required", "hint"), row, strict=True)) for row in rows]
