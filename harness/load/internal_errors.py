"""Exceptions that no code of ours handled: each is counted, and the run is invalid for it."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from gevent import GreenletExit, get_hub

from harness.core.outside_text import outside_text, redacted

PACKAGE = Path(__file__).parents[1]
"""Where our own code is."""

BUG_HINT = "this is a bug of the harness: please report it with the log"

_LOG = logging.getLogger(__name__)


class InternalErrors:
    """Takes the exceptions of this thread's hub: those that end a greenlet or a callback.

    An exception of a greenlet that a user class has started stays with gevent, which prints it.

    Args:
        count: Gets a sentence with the file and line of each exception in our code.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._logged: set[str] = set()
        self._hub: Any = get_hub()
        self._others = self._hub.handle_error

    def start(self) -> None:
        """Begin."""
        self._hub.handle_error = self._handle

    def stop(self) -> None:
        """End; safe to call twice."""
        self._hub.handle_error = self._others

    def _handle(
        self,
        context: object,
        kind: type[BaseException],
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or not _began_in_package(trace):
            self._others(context, kind, error, trace)
            return
        sentence = sentence_of(error)
        self._count(sentence)
        if sentence not in self._logged:
            self._logged.add(sentence)
            log_error(error)


def log_error(error: BaseException) -> None:
    """Write an exception with its traceback to the log, without the secrets of this run."""
    _LOG.error("%s", redacted("".join(traceback.format_exception(error))))


def sentence_of(error: BaseException) -> str:
    """Return what was raised, and at which line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    place = ""
    if ours:
        place = f"{Path(ours[-1].filename).relative_to(PACKAGE.parent)}:{ours[-1].lineno}: "
    return f"{place}{type(error).__name__}: {outside_text(str(error))}"


def _began_in_package(trace: TracebackType | None) -> bool:
    """Return whether the outermost Python code was ours; gevent's own is compiled."""
    files = (Path(frame.filename) for frame in traceback.extract_tb(trace))
    outermost = next((file for file in files if "gevent" not in file.parts), None)
    return outermost is not None and outermost.is_relative_to(PACKAGE)


def on_death(greenlet: Any, tell: Callable[[str], None]) -> None:
    """Call ``tell`` with a sentence when the greenlet dies of an exception."""

    def died(dead: Any) -> None:
        if not isinstance(dead.exception, GreenletExit):
            tell(sentence_of(dead.exception))

    greenlet.link_exception(died)
