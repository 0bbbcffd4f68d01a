"""The folder that ``--out`` names: whether it is there, and making it."""

from pathlib import Path

from harness.core.errors import MachineError


def is_there(folder: Path) -> bool:
    """Say whether a folder, or anything else, is there already.

    Raises:
        MachineError: If it cannot be told: a name too long, a folder that may not be read.
    """
    try:
        return folder.exists()
    except OSError as error:
        raise _unusable(folder, error) from None


def make_folder(folder: Path) -> None:
    """Make a folder and those it is in, unless it is there.

    Raises:
        MachineError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> MachineError:
    found = f"cannot be written ({(error.strerror or str(error)).lower()})"
    name = str(folder) if len(str(folder)) <= _LONGEST else f"{str(folder)[:_LONGEST]}…"
    required = "a folder that can be made is needed"
    return MachineError(name, found, required, "point --out at a place you can write")


_LONGEST = 200
