"""Programs that tests run to their end."""

import subprocess
import sys
from typing import Any

from tests.support.waiting import PATIENCE_S


def finished(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, however it ends, with options of ``subprocess.run``."""
    options = {"capture_output": True, "timeout": 4 * PATIENCE_S, "check": False} | options
    return subprocess.run([str(word) for word in command], text=True, **options)  # noqa: PLW1510


def finished_python(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python to its end."""
    return finished(sys.executable, *arguments, **options)
