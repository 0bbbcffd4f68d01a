"""The parent of an emulator's processes: one port, several processes, none left behind."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self, cast

import orjson

from harness.core.errors import MachineError
from harness.emulation.worker import SERVING, STDIN

BACKLOG = 4096
"""Connections the kernel keeps until they are accepted: two seconds of a flash crowd."""

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 1.5


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Return listening sockets on one port, between which the kernel shares out connections.

    Args:
        host: Address to listen on.
        port: TCP port; 0 takes any free one.
        count: How many sockets; more than one need the port to themselves all the same.

    Raises:
        MachineError: If the address cannot be taken.
    """
    try:
        if count == 1:
            return [socket.create_server((host, port), backlog=BACKLOG)]
        # Sharing a port also lets a stranger's shared port in: ask for it unshared first.
        with socket.create_server((host, port)) as probe:
            port = probe.getsockname()[1]
        options: dict[str, Any] = {"backlog": BACKLOG, "reuse_port": True}
        return [socket.create_server((host, port), **options) for _ in range(count)]
    except OSError as error:
        found = os.strerror(error.errno or 0).lower()
        hint = "port 0 takes any free one"
        raise MachineError(f"{host}:{port}", found, "a free address is required", hint) from error


class _Worker(NamedTuple):
    """A process, the pipe whose end stops it, and the pipe it says "serving" on."""

    process: subprocess.Popen[bytes]
    orders: IO[bytes]
    answers: IO[bytes]


class EmulatorProcesses:
    """The processes of one emulator, serving from ``__enter__`` to ``__exit__``.

    Args:
        module: Run with ``python -m``; hands its ``serve`` to ``run_worker``.
        settings: What each process is told; must fit into JSON.
        processes: How many there are. None is ever restarted.
        host: Address to listen on.
        port: TCP port; 0 takes any free one.
        prepare: Called with the folder the processes will share, before they start.

    Attributes:
        port: The port they listen on.
        folder: The files they share; deleted at the end.
    """

    def __init__(
        self,
        *,
        module: str,
        settings: Mapping[str, Any],
        processes: int,
        host: str,
        port: int,
        prepare: Callable[[Path], None],
    ) -> None:
        self._command = [sys.executable, "-m", module]
        self._settings = dict(settings)
        self._count = processes
        self._host = host
        self._prepare = prepare
        self._workers: list[_Worker] = []
        self.port = port
        self.folder = Path()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that serve."""
        return [worker.process.pid for worker in self._workers]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            name = tempfile.TemporaryDirectory(prefix="emulator-")
            self.folder = Path(started.enter_context(name))
            started.callback(self._stop)
            self._prepare(self.folder)
            self._start()
            self._await_serving()
            self._ending = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()

    def _start(self) -> None:
        with contextlib.ExitStack() as listeners:
            opened = open_listeners(self._host, self.port, self._count)
            self.port = opened[0].getsockname()[1]
            for index, listener in enumerate(opened):
                # Ours is closed once the process has its own, so that it goes when that does.
                listeners.enter_context(listener)
                self._workers.append(self._start_worker(index, listener.fileno()))

    def _start_worker(self, index: int, listener: int) -> _Worker:
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[listener]
        )
        orders, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        order = {
            "index": index,
            "processes": self._count,
            "folder": str(self.folder),
            "listener": listener,
            "settings": self._settings,
        }
        # Through a pipe, because command lines are public and the settings hold keys.
        with contextlib.suppress(BrokenPipeError):
            orders.write(orjson.dumps(order) + b"\n")
            orders.flush()
        return _Worker(process, orders, answers)

    def _await_serving(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        with selectors.PollSelector() as selector:
            waiting = self._watch_answers(selector)
            while waiting:
                ready = selector.select(deadline - time.monotonic())
                if not ready:
                    raise self._failure(waiting.pop(), f"silent for {START_TIMEOUT_S:g} s")
                for key, _ in ready:
                    if os.read(key.fd, 4096) != SERVING:
                        raise self._failure(key.data, "failed to start")
                    selector.unregister(key.fd)
                    waiting.remove(key.data)

    def _watch_answers(self, selector: selectors.PollSelector) -> list[_Worker]:
        for worker in self._workers:
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        return list(self._workers)

    def wait(self, stop: "StopSignals", *, until_stdin_ends: bool = False) -> None:
        """Return when the emulator should stop.

        Args:
            stop: Entered before the emulator was started.
            until_stdin_ends: Whether the end of our stdin also means stop.

        Raises:
            MachineError: If one of the processes ended by itself.
        """
        with selectors.PollSelector() as selector:
            self._watch_answers(selector)
            selector.register(stop, selectors.EVENT_READ)
            if until_stdin_ends:
                selector.register(STDIN, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is stop:
                        return
                    if not os.read(key.fd, 4096):
                        if key.data is None:
                            return
                        raise self._failure(key.data, "ended by itself")

    def _failure(self, worker: _Worker, found: str) -> MachineError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            found += f" (status {worker.process.wait(timeout=1)})"
        where = f"emulator process {worker.process.pid}"
        return MachineError(where, found, "all processes of an emulator must keep serving")

    def _stop(self) -> None:
        """End the processes: politely by the end of their stdin, then by force."""
        for worker in self._workers:
            with contextlib.suppress(BrokenPipeError):
                worker.orders.close()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process, _, answers in self._workers:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            answers.close()


class StopSignals:
    """Turns SIGINT and SIGTERM into something to wait for, while entered; main thread only."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()

    def fileno(self) -> int:
        """Return a descriptor that is readable once a signal has come."""
        return self._ours.fileno()

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _STOPPING}
        return self

    def _note(self, *_: object) -> None:
        self._theirs.send(b"!")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()


_STOPPING = (signal.SIGINT, signal.SIGTERM)
