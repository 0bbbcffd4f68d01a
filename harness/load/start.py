"""Starts Locust for the ``harness`` command: flags decide alone, and errors reach the parent.

A locustfile that cannot be loaded is an error in one sentence, at the user's own line.

Locust also reads ``~/.locust.conf``, ``locust.conf`` and ``pyproject.toml``, and an environment
variable for nearly every option. Any of them could change the load of a run without a trace.
"""

import os
import sys
from typing import Any

from locust import argument_parser
from locust import main as locust_main

from harness.core.child_errors import ChildError, report_error
from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode
from harness.load.plugin import install
from harness.load.preflight import report_failure
from harness.load.user_classes import load_users

USER_CLASSES_VARIABLE = "LOCUST_USER_CLASSES"
"""The one option that Locust takes from the environment past its parser."""


class FlagsOnly(argument_parser.LocustArgumentParser):
    """Locust's parser, without its configuration files and variables."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "default_config_files": []})

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command line, as if the environment were empty."""
        return super().parse_known_args(*args, **{**kwargs, "env_vars": {}})

    def exit(self, status: int = 0, message: str | None = None) -> Any:
        """Report what is wrong with the command line, if anything is, and exit."""
        if status and message:
            sentence = message.removeprefix(f"{self.prog}: error: ").rstrip()
            report_error(ChildError("ArgumentError", sentence, None, ExitCode.BAD_USAGE))
        super().exit(status, message)


def start() -> None:
    """Run Locust until it ends, which ends the process."""
    os.environ.pop(USER_CLASSES_VARIABLE, None)
    argument_parser.LocustArgumentParser = FlagsOnly  # type: ignore[misc]
    locust_main.load_locustfile = _load_or_refuse  # type: ignore[attr-defined]  # private there
    install()  # A locustfile of ordinary users alone need not know of us.
    locust_main.main()


def _load_or_refuse(path: str) -> Any:
    try:
        return load_users(path)
    except HarnessError as error:
        report_failure(error)
        sys.exit(int(error.exit_code))


if __name__ == "__main__":
    start()
