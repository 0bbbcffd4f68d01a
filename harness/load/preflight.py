"""What is settled before anything of a run is started: its plan, and that this machine will do.

Locust forks its workers as soon as its options are read, long before it has a master to ask. So
this hooks into the reading of the options, where nothing but this process is there yet.
"""

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
        warnings: What this machine has too little of, where the user insists.
    """

    plan: Plan
    warnings: list[dict[str, Any]]


def prepare(options: Namespace) -> PreparedRun:
    """Return what a master's options ask for.

    Raises:
        ScenarioError: If a file is missing, or anything in it does not validate.
        LocustfileError: If the locustfile's classes are not those that the plan needs.
        MachineError: If this machine is too small for its part, and nobody insists.
    """
    if not (options.headless or options.autostart):
        raise MachineError(
            "locust",
            "was started for its web page",
            "a workload fixes users and times, so it starts by itself",
            "add --headless, or --autostart to see the web page as well",
        )
    refuse_options(options)
    plan = plan_from_options(options)
    if (found := loaded_classes(options)) is not None:
        classes = classify(found, str(options.locustfile))
        plan = plan_with_counts(plan, classes, options.user_classes or ())
        require_hosts(plan, classes, options.host)
    # Workers elsewhere have machines of their own, which they tell of when they come.
    here = None if options.processes or not options.master else 0
    sized, _, warnings = size_or_refuse(
        plan, read_machine(), worker_count(options), here=here, force=options.force
    )
    return PreparedRun(sized, warnings)


_SHOWN_ONLY = ("list_commands", "show_task_ratio", "show_task_ratio_json")
"""Options with which Locust shows what is in a locustfile and starts nothing."""


def on_options(parser: LocustArgumentParser, heed: Callable[[Namespace], object]) -> None:
    """Have a function called with the options of a master as soon as they are read.

    Where it raises a ``HarnessError`` the process says so and ends, with the error's exit code.
    """
    read: Callable[..., Namespace] = parser.parse_args

    def read_and_heed(*args: Any, **kwargs: Any) -> Namespace:
        options = read(*args, **kwargs)
        if not (options.worker or any(getattr(options, name) for name in _SHOWN_ONLY)):
            try:
                heed(options)
            except HarnessError as error:
                report_failure(error)
                sys.exit(int(error.exit_code))
        return options

    parser.parse_args = read_and_heed  # There is no event for it.


def report_failure(error: HarnessError) -> None:
    """Say what is wrong, each problem in its own sentence, to the user and to the parent."""
    report_error(error)
    print_message(error_lines(error))


def print_message(text: str) -> None:
    """Tell the user something at once, beside Locust's log."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201  standard error is the interface
