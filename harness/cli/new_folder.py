"""The folder of a run: claimed before anything starts, so that no two runs write into one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness.cli.options import unusable_folder


@contextlib.contextmanager
def new_folder(wanted: Path, *, may_differ: bool = False) -> Iterator[Path]:
    """Make a folder that must not exist yet; remove it again if it is empty at the end.

    Args:
        wanted: Its path.
        may_differ: Whether ``-2``, ``-3`` and so on may be appended to a name that is taken.

    Raises:
        MachineError: If it exists, or cannot be made.
    """
    made = [each for each in wanted.parents if not os.path.exists(each)]  # noqa: PTH110  raises nothing
    try:
        folder = _claimed(wanted, may_differ=may_differ)
        made.insert(0, folder)
        yield folder
    finally:
        for each in made:
            with contextlib.suppress(OSError):  # It is not empty, or was not made.
                each.rmdir()


def _claimed(wanted: Path, *, may_differ: bool) -> Path:
    from harness.measure.record import folder_exists_error

    names = [wanted]
    if may_differ:
        names += [wanted.with_name(f"{wanted.name}-{number}") for number in range(2, 100)]
    for folder in names:
        try:
            folder.mkdir(parents=True)
        except FileExistsError as error:
            if not os.path.lexists(folder):  # A parent is a file.
                raise unusable_folder(wanted, error) from None
        except OSError as error:
            raise unusable_folder(wanted, error) from None
        else:
            return folder
    raise folder_exists_error(wanted)
