"""The flag that names a locustfile of the user's own, and what Locust is told of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.load.loading import OWN_LOCUSTFILE, read_locustfile

_FOLDER = Path(__file__).resolve().parents[1] / "load"

Locustfile = Annotated[
    Path | None,
    typer.Option(
        "--locustfile",
        metavar="FILE",
        envvar="HARNESS_LOCUSTFILE",
        help="Run the user classes of this locustfile.  [default: subscribers and chatters alone]",
    ),
]


def own_users(locustfile: Path | None) -> list[str]:
    """Return Locust's arguments for a locustfile of the user's own; none where there is none.

    Raises:
        LocustfileError: If it cannot be read, or is no Python.
    """
    if locustfile is None:
        return []
    read_locustfile(locustfile)
    return [OWN_LOCUSTFILE, str(locustfile)]


def loaded_by(arguments: Sequence[str]) -> str:
    """Return the file that Locust is to load, given its other arguments."""
    name = "own_locustfile.py" if OWN_LOCUSTFILE in arguments else "locustfile.py"
    return str(_FOLDER / name)
