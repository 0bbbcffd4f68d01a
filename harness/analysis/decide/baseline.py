"""A baseline: the data of one or more run records in one small file, to compare later runs with.

The file is a tar archive, compressed with xz. Each run is a folder in it with ``run.json``, the
tables, the histograms and the emulator's counts: all that an analysis reads, and neither pages nor
charts. So ``tar xf`` makes records of it again.
"""

import lzma
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from harness.analysis.run.finalize import analyse
from harness.analysis.run.record import GROUND_TRUTH_FILE
from harness.analysis.run.tables import PARQUET
from harness.core.errors import HarnessError, MachineError
from harness.core.exit_codes import ExitCode
from harness.measure.record import HISTOGRAMS_FILE, RUN_FILE

FILES: Final = (
    *(RUN_FILE, HISTOGRAMS_FILE, GROUND_TRUTH_FILE),
    *(f"{name}.parquet" for name in PARQUET),
)
MOST_BYTES: Final = 2**30
"""Of an archive's files together: a baseline comes from elsewhere, and may be anything."""
_NAME_ONE: Final = "make one with: harness baseline save RUN --out FILE"


class BaselineError(HarnessError):
    """A file is no baseline, or a run cannot become one."""

    exit_code = ExitCode.BAD_USAGE


def save_baseline(folders: Sequence[Path], out: Path) -> int:
    """Write the data of finished runs into one file; return its size in bytes.

    Raises:
        BaselineError: If a run is invalid, still a journal, or named twice.
        HarnessError: If a folder holds no record, or the file cannot be written.
    """
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        analysis = analyse(folder)
        if analysis.record.in_journal or places.count(place) > 1:
            found = "is named twice" if places.count(place) > 1 else "was not finished"
            raise BaselineError(str(folder), found, "a baseline holds different finished runs")
        if analysis.summary["verdict"] == "invalid":
            found, rule = "is invalid", "a baseline must be made of valid runs"
            raise BaselineError(str(folder), found, rule, f"see: harness check {folder}")
    names = [place.name for place in places]
    half = out.with_name(f"{out.name}.new")
    try:
        with tarfile.open(half, "w:xz", preset=9) as archive:
            for number, folder in enumerate(places):
                name = folder.name if names.count(folder.name) == 1 else f"{number}-{folder.name}"
                for file in (folder / one for one in FILES):
                    if file.is_file():
                        archive.add(file, f"{name}/{file.name}", filter=_without_owner)
        half.replace(out)
        return out.stat().st_size
    except OSError as error:
        with suppress(OSError):
            half.unlink()
        reason = (error.strerror or str(error)).lower()
        rule = "the baseline needs a place that can be written"
        raise MachineError(str(out), f"cannot be written ({reason})", rule) from None


@contextmanager
def opened_baseline(file: Path) -> Iterator[list[Path]]:
    """Give the folders of the runs in a baseline, unpacked until the end of the block.

    Raises:
        BaselineError: If the file is none.
    """
    with TemporaryDirectory(prefix="harness-baseline-") as place:
        try:
            with tarfile.open(file, "r:xz") as archive:
                _unpack(archive, Path(place))
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError, ValueError) as error:
            reason = " ".join((getattr(error, "strerror", None) or str(error)).lower().split())
            rule = "a baseline is a tar archive compressed with xz"
            raise BaselineError(str(file), f"cannot be read ({reason})", rule, _NAME_ONE) from None
        folders = sorted(path.parent for path in Path(place).glob(f"*/{RUN_FILE}"))
        if not folders:
            raise BaselineError(str(file), f"holds no {RUN_FILE}", "it must hold runs", _NAME_ONE)
        yield folders


def _unpack(archive: tarfile.TarFile, place: Path) -> None:
    """Unpack only what a baseline holds, and no more of it than fits."""
    room = MOST_BYTES
    while (member := archive.next()) is not None:
        path = Path(member.name)
        if not member.isfile() or len(path.parts) != 2 or path.name not in FILES:  # noqa: PLR2004 - run/file
            continue
        room -= member.size
        if room < 0:
            raise tarfile.TarError(f"holds more than {MOST_BYTES} bytes")
        archive.extract(member, place, set_attrs=False, filter="data")


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an entry that says nothing of who made it, so that equal runs give equal files."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
