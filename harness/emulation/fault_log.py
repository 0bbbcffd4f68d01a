"""Which deliveries and connections faults hit, one by one, so that a report can be checked.

Each process appends to its own file; any of them can read all, also those of one that was killed.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.emulation.connection_writer import Connection
from harness.emulation.counters import Counters
from harness.emulation.worker import WorkerContext

ENTRIES_MAX = 50_000
"""Entries a process writes; what comes after is only counted."""

EXCERPT_CHARACTERS = 200


class FaultLog:
    """One process's file; it counts its entries, and those left out."""

    def __init__(self, context: WorkerContext, counters: Counters) -> None:
        file = context.folder / f"faults-{context.index}.jsonl"
        self._file = file.open("ab", buffering=0)
        self._counters = counters
        self._entries = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write an entry with the time of day, unless there are too many."""
        if self._entries < ENTRIES_MAX:
            self._entries += 1
            self._file.write(orjson.dumps({"at_ns": time.time_ns(), **entry}) + b"\n")
            self._counters.add("fault_log.entries")
        else:
            self._counters.add("fault_log.left_out")

    def add_delivery(
        self,
        what: str,
        event: int,
        subscription: int,
        connection: Connection,
        text: str,
        **more: object,
    ) -> None:
        """Write what became of a delivery, with the beginning of its text: enough to tell which."""
        entry = {
            "what": what,
            "event": event,
            "subscription": subscription,
            "connection": connection.number,
            "peer": connection.peer,
            "text": text[:EXCERPT_CHARACTERS],
        }
        self.add(entry | more)

    def reset(self) -> None:
        """Begin anew."""
        self._file.truncate(0)
        self._entries = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_fault_logs(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of all processes, each process's in order."""
    return [
        orjson.loads(line)
        for file in sorted(folder.glob("faults-*.jsonl"))
        for line in file.read_bytes().splitlines()
    ]
