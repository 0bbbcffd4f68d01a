"""Load-testing and capacity harness for live fan-out systems.

What is in ``__all__`` is the public Python API; see docs/python.md. Each name is imported when it
is first used, so that no process loads what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.core.distribution import VERSION

if TYPE_CHECKING:
    from harness.analysis.public import RunRecord, compare, judge, read_record
    from harness.cli.running import load_plan, run
    from harness.core.errors import HarnessError
    from harness.core.system import System
    from harness.load.locustfile import Chatter, Subscriber
    from harness.net.client import (
        Access,
        Api,
        Client,
        JoinError,
        JoinTimes,
        Listener,
        PublishAnswer,
    )

__all__ = [
    "Access",
    "Api",
    "Chatter",
    "Client",
    "HarnessError",
    "JoinError",
    "JoinTimes",
    "Listener",
    "PublishAnswer",
    "RunRecord",
    "Subscriber",
    "System",
    "compare",
    "judge",
    "load_plan",
    "read_record",
    "run",
]

_MODULES = {
    "harness.analysis.public": ("RunRecord", "compare", "judge", "read_record"),
    "harness.cli.running": ("load_plan", "run"),
    "harness.core.errors": ("HarnessError",),
    "harness.core.system": ("System",),
    "harness.load.locustfile": ("Chatter", "Subscriber"),
    "harness.net.client": (
        *("Access", "Api", "Client", "JoinError", "JoinTimes", "Listener", "PublishAnswer"),
    ),
}
"""Module -> what of it is public."""

_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__version__ = VERSION


if not TYPE_CHECKING:  # Type checkers know the names from the imports above, and no others.

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_PLACES[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
