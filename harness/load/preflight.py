"""Checks before anything of a run is started: the plan, the user classes, and this machine.

Locust forks its workers as soon as its options are read, long before its master exists. These
checks run as the options are read, when this is still the only process.
"""

import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any, NamedTuple

from locust.argument_parser import LocustArgumentParser

from harness.core.child_errors import report_error
from harness.core.errors import HarnessError, MachineError, error_lines
from harness.load.options import plan_from_options, worker_count
from harness.load.sizing import size_or_refuse
from harness.load.user_classes import (
    classify,
    loaded_classes,
    plan_with_counts,
    refuse_options,
    require_hosts,
)
from harness.measure.machine import read_machine
from harness.scenario.plan import Plan


class PreparedRun(NamedTuple):
    """A run that can be started.

    Attributes:
        plan: With the processes of its emulator counted.
        warnings: Shortages of this machine, if ``--force`` is set.
    """

    plan: Plan
    warnings: list[dict[str, Any]]


def prepare(options: Namespace) -> PreparedRun:
    """Return the run that a master's options describe.

    Raises:
        ScenarioError: If a file is missing, or anything in it does not validate.
        LocustfileError: If the locustfile's classes are not those that the plan needs.
        MachineError: If this machine is too small and ``--force`` is not set.
    """
    if not (options.headless or options.autostart):
        raise MachineError(
            "locust",
            "was started for its web page",
            "a workload fixes users and times, so a run starts without the page",
            "add --headless, or --autostart to see the web page as well",
        )
    refuse_options(options)
    plan = plan_from_options(options)
    if (found := loaded_classes(options)) is not None:
        classes = classify(found, str(options.locustfile))
        plan = plan_with_counts(plan, classes, options.user_classes or ())
        require_hosts(plan, classes, options.host)
    # Remote workers send the limits of their machines when they register.
    here = None if options.processes or not options.master else 0
    sized, _, warnings = size_or_refuse(
        plan, read_machine(), worker_count(options), here=here, force=options.force
    )
    return PreparedRun(sized, warnings)


_SHOWN_ONLY = ("list_commands", "show_task_ratio", "show_task_ratio_json")
"""Options with which Locust only shows the contents of a locustfile."""


def on_options(parser: LocustArgumentParser, handle: Callable[[Namespace], object]) -> None:
    """Call a function with the options of a master as soon as they are read.

    If it raises a ``HarnessError``, the process reports it and ends with the error's exit code.
    """
    read: Callable[..., Namespace] = parser.parse_args

    def read_and_handle(*args: Any, **kwargs: Any) -> Namespace:
        options = read(*args, **kwargs)
        if not (options.worker or any(getattr(options, name) for name in _SHOWN_ONLY)):
            try:
                handle(options)
            except HarnessError as error:
                report_failure(error)
                sys.exit(int(error.exit_code))
        return options

    parser.parse_args = read_and_handle  # There is no event for it.


def report_failure(error: HarnessError) -> None:
    """Report an error to the user and to the parent process, one sentence for each problem."""
    report_error(error)
    print_message(error_lines(error))


def print_message(text: str) -> None:
    """Print a message for the user, beside Locust's log, if the disk of the log has room."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201  standard error is the interface
