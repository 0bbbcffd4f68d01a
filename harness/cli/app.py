"""The ``harness`` command: its subcommands and its error handling.

Subcommands import pandas and matplotlib when they run: both take a second to load.
"""

import errno
import inspect
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand

from harness.cli.baseline import baseline
from harness.cli.compare import compare
from harness.cli.cost import cost
from harness.cli.distributed import worker
from harness.cli.doctor import doctor
from harness.cli.emulate import emulate
from harness.cli.init import init
from harness.cli.listings import examples, systems
from harness.cli.output import OUTPUT, note, print_json
from harness.cli.output import report as report_error
from harness.cli.plan import plan
from harness.cli.report import check, report
from harness.cli.run import run
from harness.cli.study import study
from harness.cli.sweep import sweep
from harness.cli.terminal import tolerate_closed_output
from harness.cli.validate import validate
from harness.core.distribution import DISTRIBUTION, VERSION
from harness.core.errors import HarnessError, MachineError, os_reason
from harness.core.exit_codes import ExitCode

_UsageError: Any = typer.BadParameter.__base__
"""What Typer raises for any command line that it cannot read; it exports no name for it."""

WORKLOAD = "quickstart"
TARGET = "appsync-events-emulated"
STUDY = "sse-vs-appsync"
SLOS = "live-chat"


@dataclass(frozen=True, slots=True)
class Verb:
    """One subcommand, and the arguments of the example at the end of its help."""

    function: Callable[..., None]
    arguments: str

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.function.__name__

    @property
    def example(self) -> str:
        """The complete example command."""
        return f"harness {self.name} {self.arguments}".rstrip()

    @property
    def help(self) -> str:
        """The docstring of the function."""
        return inspect.getdoc(self.function) or ""


VERBS = (
    Verb(run, f"{WORKLOAD} --target {TARGET} --set publishing.rate_per_s=2"),
    Verb(worker, "--master-host 10.0.0.1 --processes 4"),
    Verb(emulate, TARGET),
    Verb(sweep, f"{WORKLOAD} --target {TARGET} --along deliveries --from 2000 --to 8000"),
    Verb(report, "reports/20261123T153000Z-quickstart-appsync-events-emulated"),
    Verb(check, f"reports/first --slo {SLOS} --all"),
    Verb(
        compare,
        "reports/first reports/first --fail-if 'fan_out_latency_ms.p99 +10%' "
        "--junit reports/junit.xml",
    ),
    Verb(baseline, "save reports/first --out baseline.tar.xz"),
    Verb(cost, "reports/first"),
    Verb(plan, "reports/first --users 1000000 --json"),
    Verb(study, f"{STUDY} --size small"),
    Verb(init, "load-test --system polling"),
    Verb(examples, ""),
    Verb(systems, ""),
    Verb(validate, f"{WORKLOAD} {TARGET}"),
    Verb(doctor, f"{WORKLOAD} --target {TARGET}"),
)


class _Argument(TyperArgument):
    """An argument that help shows by its metavar alone."""

    def get_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the pieces of the usage line."""
        name = self.metavar or super().get_usage_pieces(ctx)[0]
        return [name if self.required or name.startswith("[") else f"[{name}]"]

    def display_type_rich(self, ctx: Any) -> str:  # noqa: ARG002  Typer has it so
        """Return no type; metavar and help text suffice."""
        return ""


class _Command(TyperCommand):
    """A subcommand whose help shows no Python types."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                parameter.__class__ = _Argument  # Typer has no option for it.

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; say that Ctrl-C ended it, which Typer turns into exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note(f"\n{ctx.command_path}: interrupted")
            raise


def build_app() -> typer.Typer:
    """Return the command with all its subcommands."""
    # Plain help: it wraps the same everywhere and does not wait for rich.
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog=example_line(VERBS[0]),
    )
    app.callback()(harness)
    for verb in VERBS:
        command = app.command(verb.name, cls=_Command, help=verb.help, epilog=example_line(verb))
        command(verb.function)
    return app


def example_line(verb: Verb) -> str:
    """Return the last line of a help page, marked so that click does not wrap it."""
    return f"\b\nExample: {verb.example}"


def harness(
    _version: Annotated[  # noqa: FBT002 - typer's way to say that a flag is off
        bool,
        typer.Option(
            "--version",
            help="Print package, version and git revision, and exit.",
            is_eager=True,
            callback=lambda wanted: _print_version() if wanted else None,
        ),
    ] = False,
) -> None:
    """Load-testing and capacity harness for live fan-out systems.

    Results go to stdout, progress to stderr. Exit codes: 0 pass, 1 internal error, 2 bad usage,
    3 SLO failed, 4 run invalid, 5 target unreachable, 6 runs not comparable,
    130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line; print any error as one message and exit with its code."""
    output_failure = tolerate_closed_output()
    OUTPUT.as_json = "--json" in sys.argv[1:]  # Errors may come before options are read.
    code = _exit_code()
    if OUTPUT.as_json and (code or OUTPUT.result is not None):
        print_json(code)
    if (failure := output_failure()) is not None:
        code = report_error(_unusable("standard output", failure))
    sys.exit(code)


def _exit_code() -> int:
    """Run the subcommand, print the error that ends it, and return the exit code."""
    try:
        _require_working_directory()
        return int(build_app()(prog_name="harness", standalone_mode=False) or ExitCode.PASS)
    except SystemExit as end:
        return int(end.code or ExitCode.PASS)
    except _UsageError as error:
        return _report_usage(error)
    except HarnessError as error:
        return report_error(error)
    except Exception as error:  # noqa: BLE001 - the last resort, which writes the traceback to a file
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            return report_error(_unusable(error.filename or "disk", error))
        return report_error(describe_bug(error))


def _report_usage(error: Any) -> int:
    """Print what is wrong with the command line, with the usage; return the exit code."""
    error.show()
    where = error.ctx.command_path if error.ctx else "harness"
    found, required = error.format_message().rstrip("."), "the help says what is allowed"
    OUTPUT.error = HarnessError(where, found, required, f"see {where} --help")
    return int(error.exit_code)


def _require_working_directory() -> None:
    """Raise MachineError if it has been deleted: Locust and relative paths need it."""
    try:
        Path.cwd()
    except OSError as error:
        found, rule = f"cannot be used ({os_reason(error)})", "commands run in an existing folder"
        hint = "it was deleted or moved: cd to a folder that exists"
        raise MachineError("working directory", found, rule, hint) from None


_OF_THE_MACHINE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or raise the quota",
    errno.EFBIG: "raise the limit of ulimit -f",
    errno.EROFS: "choose another place",
    errno.EACCES: "choose another place, or change its permissions",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Errors that no code of ours causes, with what to do about each."""


def _unusable(where: str, error: OSError) -> MachineError:
    found = f"cannot be used ({os_reason(error)})"
    rule = "files of a command must be readable, and writable with room"
    return MachineError(where, found, rule, _OF_THE_MACHINE.get(error.errno or 0))


def describe_bug(error: Exception) -> HarnessError:
    """Write the traceback of an unexpected error to a file; return an error that names it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="harness-error-", suffix=".txt", encoding="utf-8", delete=False
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    text = " ".join(str(error).split())
    finding = f"{type(error).__name__} ({text})" if text else type(error).__name__
    rule = f"a bug of the harness; the traceback is in {file.name}"
    return HarnessError("harness", f"unexpected {finding}", rule)


def _print_version() -> NoReturn:
    from harness.measure.environment import git_revision

    revision = git_revision()
    typer.echo(f"{DISTRIBUTION} {VERSION}" + (f", revision {revision}" if revision else ""))
    raise typer.Exit
