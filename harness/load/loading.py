"""Loading a user's own locustfile, with each fault in it told at the user's own line."""

import sys
import traceback
from pathlib import Path
from types import CodeType, ModuleType

from harness.core.errors import LocustfileError

_LONGEST_TEXT = 200
_REQUIRED = "a locustfile that Python can load is needed"


def read_locustfile(path: Path) -> CodeType:
    """Return a locustfile, compiled.

    Raises:
        LocustfileError: If there is none, or it is no Python.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read"
        if path.is_dir():
            reason = "is a folder"
        hint = "name a Python file with User classes: --locustfile FILE"
        raise LocustfileError(str(path), reason, "a locustfile is needed", hint) from None
    try:
        return compile(source, str(path), "exec")
    except SyntaxError as error:
        place = f"{path}, line {error.lineno}" if error.lineno else str(path)
        raise LocustfileError(place, f"has a syntax error: {error.msg}", _REQUIRED) from None
    except ValueError as error:  # A null byte, in some versions of Python.
        raise LocustfileError(str(path), f"is no text: {error}", _REQUIRED) from None


def load_locustfile(path: Path) -> ModuleType:
    """Run a locustfile as Locust does, and return it as a module.

    Its own folder and the working directory can be imported from.

    Raises:
        LocustfileError: If it cannot be read, or raises an exception.
    """
    code = read_locustfile(path)
    name = path.stem if path.stem != "locust" else "locustfile"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    sys.path[:0] = [str(path.resolve().parent), str(Path.cwd())]
    try:
        exec(code, vars(module))  # noqa: S102 - it is the user's own program
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is told
        raise _failed(path, error) from None
    return module


def _failed(path: Path, error: BaseException) -> LocustfileError:
    """Return what went wrong, at the last line of the user's file that led there."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path) and frame.lineno
    ]
    place = f"{path}, line {lines[-1]}" if lines else str(path)
    text = " ".join(str(error).split())[:_LONGEST_TEXT]
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{error.msg} in {error.filename}, line {error.lineno}"
    found = f"raises {type(error).__name__}: {text}" if text else f"raises {type(error).__name__}"
    return LocustfileError(place, found, _REQUIRED)
