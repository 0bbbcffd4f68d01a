"""The command that starts one of our own modules in a Python process of its own."""

import sys


def python_command(module: str) -> list[str]:
    """Return the start of a command line that runs a module of ours.

    ``-P`` keeps the working directory off the import path: a file there that is called like a
    package, such as ``json.py``, would be imported in place of that package.
    """
    return [sys.executable, "-P", "-m", module]
