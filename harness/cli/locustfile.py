"""The locustfile of a run: the one of the package, or the user's own."""

from pathlib import Path
from typing import Annotated

import typer

PACKAGED = Path(__file__).resolve().parents[1] / "load" / "locustfile.py"
"""The users of every system."""

Locustfile = Annotated[
    Path | None,
    typer.Option(
        "--locustfile",
        metavar="FILE",
        envvar="HARNESS_LOCUSTFILE",
        help="Run the user classes of this locustfile.  [default: subscribers and chatters alone]",
    ),
]


def readable(locustfile: Path | None) -> Path:
    """Return the locustfile to run.

    Raises:
        LocustfileError: If it cannot be read, or is no Python.
    """
    from harness.load.locustfile_loading import read_locustfile

    if locustfile is None:
        return PACKAGED
    read_locustfile(locustfile)
    return locustfile
