"""One process of an emulator: how it is told what to do, and when to stop.

The parent writes one line of JSON to its stdin and then only keeps the pipe open. Reaching the
end of stdin means "stop": that also happens when the parent dies, however it dies.
"""

import asyncio
import gc
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

STDIN = 0
SERVING = b"serving\n"
"""What a process says on its stdout once it accepts connections; it says nothing else."""

GC_THRESHOLDS = (50_000, 20, 100)
"""Rare collections: a full one over tens of thousands of connections delays a whole fan-out."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One process's place among those that make up an emulator.

    Attributes:
        index: Number of this process, from 0.
        processes: How many there are.
        folder: Files they share; only the owner may read it, and it goes when they do.
        listener: A listening socket on the common port.
        settings: What the emulator was started with, as JSON carries it.
    """

    index: int
    processes: int
    folder: Path
    listener: socket.socket
    settings: dict[str, Any]


class Lifeline:
    """How a process tells its parent that it serves, and learns that it should stop."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(STDIN, self._read)
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)

    def _read(self) -> None:
        if not os.read(STDIN, 4096):
            asyncio.get_running_loop().remove_reader(STDIN)
            self._stop.set()

    async def serving(self) -> None:
        """Tell the parent that connections are accepted, then wait until it is time to stop."""
        os.write(sys.stdout.fileno(), SERVING)
        await self._stop.wait()


def run_worker(serve: Callable[[Seat, Lifeline], Awaitable[None]]) -> None:
    """Run ``serve`` as the whole of this process, started by ``EmulatorProcesses``."""
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The HTTP library quotes malformed headers, and with them keys, in what it logs.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    # In a fan-out some subscribers have always just gone; writing to them is worth no line.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    seat = _read_seat()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()

    async def main() -> None:
        await serve(seat, Lifeline())

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    finally:
        # The parent does so too, unless it was killed; a private key must not stay behind.
        shutil.rmtree(seat.folder, ignore_errors=True)


def _read_seat() -> Seat:
    order = orjson.loads(sys.stdin.buffer.readline())
    return Seat(
        index=order["index"],
        processes=order["processes"],
        folder=Path(order["folder"]),
        listener=socket.socket(fileno=order["listener"]),
        settings=order["settings"],
    )
