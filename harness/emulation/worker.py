"""One process of an emulator: its commands, and when it stops.

The parent writes one line of JSON to its stdin, later perhaps further ones with new settings, and
keeps the pipe open. Reaching the end of stdin means "stop": that also happens when the parent dies,
however it dies.
"""

import asyncio
import gc
import itertools
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

from harness.core.child_errors import encode_error
from harness.core.errors import HarnessError

STDIN, STDOUT, STDERR = 0, 1, 2
SERVING = b"serving\n"
"""What a process says on its stdout once it accepts connections, or else why it cannot."""

GC_THRESHOLDS = (50_000, 20, 100)
"""Rare collections: a full one over tens of thousands of connections delays a whole fan-out."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """One process's place among those that make up an emulator.

    Attributes:
        folder: Files they share; only the owner may read it, and it goes when they do.
        index: Number of this process, from 0.
        started_s: When it was started, on ``time.monotonic``; the same for all of them.
        since_ns: What others sent before this is not for it: it took a killed one's place. 0 for
            those that were there from the start.
        settings: What the emulator was started with, as JSON carries it.
        listener: A listening socket on the common port.
        shared_listener: The listening socket that all processes accept from, where there is one.
    """

    folder: Path
    index: int = 0
    processes: int = 1
    started_s: float = 0.0
    since_ns: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    listener: socket.socket | None = None
    shared_listener: socket.socket | None = None

    def numbers(self) -> Iterator[int]:
        """Return rising numbers that no other process has."""
        return itertools.count(self.index, self.processes)


class ParentPipe:
    """How a process tells its parent that it serves, and learns what else the parent wants.

    Args:
        answers: Descriptor of the pipe to the parent.

    Attributes:
        reload: Called with new settings, as JSON carries them.
    """

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self.reload: Callable[[dict[str, Any]], None] = lambda _: None
        self._stop = asyncio.Event()
        self._unread = b""
        loop = asyncio.get_running_loop()
        loop.add_reader(STDIN, self._read)
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)

    def _read(self) -> None:
        read = os.read(STDIN, 65536)
        if not read:
            asyncio.get_running_loop().remove_reader(STDIN)
            self._stop.set()
        *lines, self._unread = (self._unread + read).split(b"\n")
        for line in lines:
            self.reload(orjson.loads(line))

    async def serving(self) -> None:
        """Report to the parent that connections are accepted, then wait for the end."""
        os.write(self._answers, SERVING)
        await self._stop.wait()


def run_worker(serve: Callable[[WorkerContext, ParentPipe], Awaitable[None]]) -> None:
    """Run ``serve`` as the whole of this process, started by ``EmulatorProcesses``."""
    # Ctrl-C and a terminal that hangs up reach the whole group; the parent decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Loggers with a level of their own, as handlers have, log everything from there on.
    logging.basicConfig(format="%(message)s")
    # The HTTP library quotes malformed headers, and with them keys, in what it logs.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    # In a fan-out some subscribers have always just gone; writing to them is worth no line.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # Code of the user's own may print; that must not look like an answer of ours.
    answers = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    worker_context = _read_worker_context()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()

    async def main() -> None:
        await serve(worker_context, ParentPipe(answers))

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except HarnessError as error:
        os.write(answers, encode_error(error))
        sys.exit(error.exit_code)
    finally:
        # The parent does so too, unless it was killed; a private key must not stay behind.
        shutil.rmtree(worker_context.folder, ignore_errors=True)


def _read_worker_context() -> WorkerContext:
    # Unbuffered: whatever follows the first line is for the parent_pipe.
    with open(STDIN, "rb", buffering=0, closefd=False) as stdin:
        command = orjson.loads(stdin.readline())
    for name in ("listener", "shared_listener"):
        if command[name] is not None:
            command[name] = socket.socket(fileno=command[name])
    return WorkerContext(Path(command.pop("folder")), **command)
