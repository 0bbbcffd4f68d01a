"""Loads a user's own locustfile; errors in it name the line in the user's file."""

import sys
import sysconfig
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, ModuleType

from harness.core.errors import LocustfileError
from harness.core.outside_text import outside_text

_LONGEST_TEXT = 200
_REQUIRED = "a locustfile that Python can load is needed"


def read_locustfile(path: Path) -> CodeType:
    """Return a locustfile, compiled.

    Raises:
        LocustfileError: If there is none, it is no Python, or its name cannot be that of one.
    """
    if path.exists() and not path.is_dir():
        _require_taken(path)
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

    Its own folder can be imported from, as Locust lets it, and the working directory after all
    packages.

    Raises:
        LocustfileError: If it cannot be read, or raises an exception.
    """
    code = read_locustfile(path)
    name = _module_name(path)
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    sys.path.append(str(Path.cwd()))
    try:
        exec(code, vars(module))  # noqa: S102 - it is the user's own program
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - all of them are reported
        raise _failed(path, error) from None
    return module


def _module_name(path: Path) -> str:
    """Return the name of the module that a locustfile becomes, as Locust chooses it."""
    return "locustfile" if path.stem == "locust" else path.stem


def _require_taken(path: Path) -> None:
    """Refuse a locustfile that Locust would not take, or that would replace a package."""
    faults = {
        "is no regular file": not path.is_file(),
        "does not end in .py": path.suffix != ".py",
        "has a comma in its path": "," in str(path),
    }
    for found in (fault for fault, is_there in faults.items() if is_there):
        hint = "name one Python file with User classes: --locustfile FILE"
        raise LocustfileError(str(path), found, "Locust takes no such file", hint)
    if _is_package(path):
        found = f"is called like the package {_module_name(path)}"
        hint = f"rename it, for instance to {path.stem}_users.py"
        raise LocustfileError(str(path), found, "what imports that package would get it", hint)


def _is_package(path: Path) -> bool:
    """Return whether Python, the harness or an installed package uses the name of a locustfile."""
    name = _module_name(path)
    if not name.isidentifier():
        return False
    loaded = sys.modules.get(name)
    if loaded is not None and not _is_same(getattr(loaded, "__file__", None), path):
        return True
    own = {"", str(path.resolve().parent), str(Path.cwd()), sysconfig.get_path("stdlib")}
    found = PathFinder.find_spec(name, [each for each in sys.path if each not in own])
    # A folder without __init__.py may be anything; its spec has no origin.
    is_installed = found is not None and found.origin is not None
    return name in sys.stdlib_module_names or is_installed


def _is_same(file: str | None, path: Path) -> bool:
    return file is not None and Path(file).resolve() == path.resolve()


def _failed(path: Path, error: BaseException) -> LocustfileError:
    """Return what went wrong, at the last line of the user's file that led there."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path) and frame.lineno
    ]
    place = f"{path}, line {lines[-1]}" if lines else str(path)
    text = outside_text(str(error), _LONGEST_TEXT)
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{error.msg} in {error.filename}, line {error.lineno}"
    found = f"raises {type(error).__name__}: {text}" if text else f"raises {type(error).__name__}"
    return LocustfileError(place, found, _REQUIRED)
