"""The run record on disk, written during the run: one folder a run, never overwritten.

While the run lasts, tables are journals: ``journal/<table>.jsonl``, one JSON object a line,
appended and flushed once a second, so that a killed run is readable up to its last second.
The analysis turns them into Parquet afterwards.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote

import orjson

from harness.core.clock import NS_PER_S
from harness.core.errors import MachineError, os_reason
from harness.measure.histogram import LatencyHistogram, log_header, log_line
from harness.measure.record_schema import JOURNAL_TABLES

SCHEMA_VERSION = 1

RUN_FILE = "run.json"
HISTOGRAMS_FILE = "histograms.hlog"
JOURNAL_FOLDER = "journal"
LOG_FILE = "locust.log"
"""What Locust printed, where ``harness run`` started it."""

TASK_STAGE = "task"
"""Stage, among the errors, of an exception that a user's own code raised."""

REQUEST_LATENCY = "request_latency"
"""Latency of ordinary requests; its histograms stand under the request's name in place of a class,
as ``request_tag`` writes it."""

CHANNELS_APART = " "
"""Between the channels of a connection that subscribed to several; no path has a space in it.

The path of a wildcard, ``/default/*``, stands for all channels that begin like it.
"""


def read_run_file(file: Path) -> dict[str, Any]:
    """Return what ``run.json`` says so far; nothing where it cannot be read."""
    try:
        found: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def request_tag(name: str) -> str:
    """Return a request's name as a part of a histogram's tag, which has no dot, comma or space."""
    return quote(name, safe="").replace(".", "%2E")


class RecordWriter:
    """Writes one run's record; the folder must be new, or empty.

    Raises:
        MachineError: If something is in the folder, it cannot be made or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._was_there = folder.is_dir()
        try:
            _claim(folder)
            self._journals: dict[str, IO[bytes]] = {
                table: (folder / JOURNAL_FOLDER / f"{table}.jsonl").open("ab")
                for table in JOURNAL_TABLES
            }
            self._histograms = (folder / HISTOGRAMS_FILE).open("w", encoding="ascii")
        except FileExistsError:
            raise folder_exists_error(folder) from None
        except OSError as error:
            raise _write_failed(folder, error) from None

    @property
    def _files(self) -> list[IO[Any]]:
        return [*self._journals.values(), self._histograms]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _write_failed(self.folder, error) from None

    def begin(self, epoch_ns: int) -> None:
        """Start the histogram log; its times count from ``epoch_ns`` on the run clock."""
        with self._writing():
            self._histograms.write(log_header(epoch_ns / NS_PER_S))

    def append(self, table: str, rows: Iterable[Mapping[str, object]]) -> None:
        """Append rows to a journal; they reach the disk at the next ``flush``."""
        journal = self._journals[table]
        with self._writing():
            journal.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

    def append_histogram(self, tag: str, second: int, histogram: LatencyHistogram) -> None:
        """Append one second's histogram under ``metric.user_class.phase``."""
        with self._writing():
            self._histograms.write(log_line(tag, second, 1.0, histogram))

    def flush(self) -> None:
        """Hand everything appended to the operating system.

        Raises:
            MachineError: If the disk is full.
        """
        with self._writing():
            for file in self._files:
                file.flush()

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Replace ``run.json`` in one step, so that a reader never sees half of it."""
        text = orjson.dumps(run, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        half = self.folder / f"{RUN_FILE}.new"
        with self._writing():
            half.write_bytes(text)
            half.replace(self.folder / RUN_FILE)

    def close(self) -> None:
        """Close all files; errors of a full disk are ignored."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()

    def discard(self) -> None:
        """Remove what was made: the run never began, so there is nothing to keep."""
        self.close()
        with contextlib.suppress(OSError):
            for each in list(self.folder.iterdir()) if self._was_there else [self.folder]:
                shutil.rmtree(each, ignore_errors=True) if each.is_dir() else each.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def folder_name(workload: str, target: str, started: datetime) -> str:
    """Return the name of the folder of a run that started at ``started`` (UTC)."""
    return f"{started:%Y%m%dT%H%M%SZ}-{workload}-{target}"


def folder_exists_error(folder: Path) -> MachineError:
    """Return the error of a run whose folder exists before it begins."""
    return MachineError(
        str(folder), "exists already", "a run's folder must be new", "choose another --out"
    )


def _claim(folder: Path) -> None:
    """Make a folder and its journal folder; raises FileExistsError if it holds anything."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError
    (folder / JOURNAL_FOLDER).mkdir()


def _write_failed(folder: Path, error: OSError) -> MachineError:
    return MachineError(
        str(folder),
        f"cannot be written ({os_reason(error)})",
        "the run record needs a writable folder with room",
        "free some space or point --out at another disk",
    )
