"""The ``harness`` command itself: its verbs, and what happens when one of them fails."""

import inspect
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand

from harness.cli.check import check
from harness.cli.closed_output import tolerate_closed_output
from harness.cli.compare import compare
from harness.cli.cost import cost
from harness.cli.doctor import doctor
from harness.cli.emulate import emulate
from harness.cli.examples import examples
from harness.cli.init import init
from harness.cli.plan import plan
from harness.cli.report import report
from harness.cli.run import run
from harness.cli.study import study
from harness.cli.sweep import sweep
from harness.cli.systems import systems
from harness.cli.validate import validate
from harness.cli.worker import worker
from harness.core.child_errors import report_error
from harness.core.distribution import DISTRIBUTION, VERSION
from harness.core.errors import HarnessError, error_lines
from harness.core.exit_codes import ExitCode

WORKLOAD = "quickstart"
TARGET = "appsync-events-emulated"
STUDY = "sse-vs-appsync"
SLOS = "live-chat"

DOCSTRING_SECTION = re.compile(r"^(Args|Raises|Returns|Source):$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of the command, and the arguments of the example that ends its help."""

    function: Callable[..., None]
    arguments: str

    @property
    def name(self) -> str:
        """What the user types."""
        return self.function.__name__

    @property
    def example(self) -> str:
        """The example, as a user would type it."""
        return f"harness {self.name} {self.arguments}".rstrip()

    @property
    def help(self) -> str:
        """The docstring, without the sections that are for readers of the code."""
        return DOCSTRING_SECTION.split(inspect.getdoc(self.function) or "")[0].strip()


VERBS = (
    Verb(run, f"{WORKLOAD} --target {TARGET} --set publishing.rate_per_s=2"),
    Verb(worker, "--master-host 10.0.0.1 --processes 4"),
    Verb(emulate, TARGET),
    Verb(sweep, f"{WORKLOAD} --target {TARGET} --along deliveries --from 2000 --to 8000"),
    Verb(report, "reports/20261123T153000Z-quickstart-appsync-events-emulated"),
    Verb(check, f"reports/first --slo {SLOS}"),
    Verb(compare, "reports/first reports/first --fail-if 'fan_out_latency_ms.p99 +10%'"),
    Verb(cost, "reports/first"),
    Verb(plan, "reports/first --users 1000000"),
    Verb(study, f"{STUDY} --size small"),
    Verb(init, "load-test --system polling"),
    Verb(examples, ""),
    Verb(systems, ""),
    Verb(validate, f"{WORKLOAD} {TARGET}"),
    Verb(doctor, f"{WORKLOAD} --target {TARGET}"),
)


class _Argument(TyperArgument):
    """An argument that help calls by its metavar alone, as its author wrote it."""

    def get_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what stands in the usage line."""
        name = self.metavar or super().get_usage_pieces(ctx)[0]
        return [name if self.required or name.startswith("[") else f"[{name}]"]

    def display_type_rich(self, ctx: Any) -> str:  # noqa: ARG002  Typer has it so
        """Return no type: the metavar and the sentence beside it say more."""
        return ""


class _Command(TyperCommand):
    """A verb whose help shows no types of the code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                parameter.__class__ = _Argument  # Typer has no way to name the class of one.


def build_app() -> typer.Typer:
    """Return the command with all its verbs."""
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
    """Return the line that ends a help page; the mark before it keeps it on one line."""
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
    3 SLO failed, 4 run invalid, 5 target unreachable, 130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line; whatever goes wrong ends in a sentence and an exit code."""
    tolerate_closed_output()
    try:
        build_app()(prog_name="harness")
    except HarnessError as error:
        report_error(error)
        typer.echo(error_lines(error), err=True)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last net, which keeps the traceback in a file
        typer.echo(f"error: {describe_bug(error)}", err=True)
        sys.exit(ExitCode.INTERNAL_ERROR)
    sys.exit(ExitCode.PASS)


def describe_bug(error: Exception) -> str:
    """Put an unexpected error's traceback into a file and return a sentence that names it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="harness-error-", suffix=".txt", encoding="utf-8", delete=False
    ) as file:
        file.write("".join(traceback.format_exception(error)))
    said = " ".join(str(error).split())
    finding = f"{type(error).__name__} ({said})" if said else type(error).__name__
    return f"harness: unexpected {finding}, a bug of the harness; the traceback is in {file.name}"


def _print_version() -> NoReturn:
    from harness.measure.environment import git_revision

    revision = git_revision()
    typer.echo(f"{DISTRIBUTION} {VERSION}" + (f", revision {revision}" if revision else ""))
    raise typer.Exit
