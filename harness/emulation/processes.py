"""The parent of an emulator's processes: one port, several processes, none left behind."""

import contextlib
import os
import selectors
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

import orjson

from harness.core.child_errors import decode_error
from harness.core.errors import MachineError
from harness.emulation.worker import SERVING

BACKLOG = 4096
"""Connections the kernel keeps until they are accepted: two seconds of a flash crowd."""

START_TIMEOUT_S = 60.0  # On a machine with nothing else to do it takes one.
STOP_TIMEOUT_S = 1.5


def open_listeners(
    host: str, port: int, count: int, accept_queue: int = BACKLOG
) -> list[socket.socket]:
    """Return listening sockets on one port, between which the kernel shares out connections.

    Port 0 takes any free one. Several sockets need the port to themselves all the same.

    Raises:
        MachineError: If the address cannot be taken.
    """
    options: dict[str, Any] = {"family": socket.AF_INET6 if ":" in host else socket.AF_INET}
    try:
        if count > 1:
            # Sharing a port also lets a stranger's shared port in: ask for it unshared first.
            with socket.create_server((host, port), **options) as probe:
                port = probe.getsockname()[1]
        options |= {"backlog": accept_queue, "reuse_port": count > 1}
        return [socket.create_server((host, port), **options) for _ in range(count)]
    except OSError as error:
        # Its own words where the name is unknown; else those without the address.
        unknown = next(
            (one for one in (error, error.__context__) if isinstance(one, socket.gaierror)), None
        )
        found = str(unknown.strerror if unknown else os.strerror(error.errno or 0)).lower()
        hint = "port 0 takes any free one"
        raise MachineError(f"{host}:{port}", found, "a free address is required", hint) from error


class _Worker(NamedTuple):
    """A process, the pipe whose end stops it, and the pipe it says "serving" on."""

    process: subprocess.Popen[bytes]
    commands: IO[bytes]
    answers: IO[bytes]

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send one line, unless the process has ended: that is noticed where it is watched."""
        with contextlib.suppress(BrokenPipeError):
            self.commands.write(orjson.dumps(message) + b"\n")
            self.commands.flush()

    def hang_up(self) -> None:
        """Close the pipe to it."""
        with contextlib.suppress(BrokenPipeError):
            self.commands.close()


class EmulatorProcesses:
    """The processes of one emulator, serving from ``__enter__`` to ``__exit__``.

    Args:
        command: Runs one process, which calls ``run_worker``.
        settings: Sent to each process; must fit into JSON.
        processes: How many there are. One that ends by itself is not replaced.
        port: TCP port; 0 takes any free one.
        prepare: Called with the folder the processes will share, before they start.
        accept_queue: Length of the accept queue of a realtime port of its own, which all processes
            accept from; None for no such port.

    Attributes:
        port: The port they listen on.
        realtime_port: The port of the realtime address, where it has one of its own.
        folder: The files they share; deleted at the end.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        settings: Mapping[str, Any],
        processes: int,
        host: str,
        port: int,
        prepare: Callable[[Path], None],
        accept_queue: int | None = None,
    ) -> None:
        self._command = command
        self._settings = dict(settings)
        self._count = processes
        self._host = host
        self._prepare = prepare
        self._workers: list[_Worker] = []
        self._away_until_s: dict[int, float] = {}
        self._started_s = 0.0
        self.port = port
        self.realtime_port: int | None = None
        self._accept_queue = accept_queue
        self._shared_listener: socket.socket | None = None
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
            if self._accept_queue is not None:
                shared = started.enter_context(
                    open_listeners(self._host, 0, 1, self._accept_queue)[0]
                )
                self._shared_listener, self.realtime_port = shared, shared.getsockname()[1]
            self._start()
            self._await_serving()
            self._ending = started.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.close()

    def _start(self) -> None:
        self._started_s = time.monotonic()
        with contextlib.ExitStack() as listeners:
            opened = open_listeners(self._host, self.port, self._count)
            self.port = opened[0].getsockname()[1]
            for index, listener in enumerate(opened):
                # Ours is closed once the process has its own, so that it goes when that does.
                listeners.enter_context(listener)
                self._workers.append(self._start_worker(index, listener.fileno()))

    def _start_worker(self, index: int, listener: int, since_ns: int = 0) -> _Worker:
        shared = self._shared_listener.fileno() if self._shared_listener else None
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener] if shared is None else [listener, shared],
        )
        commands, answers = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        worker = _Worker(process, commands, answers)
        # Through a pipe, because command lines are public and the settings hold keys.
        command = {
            "index": index,
            "processes": self._count,
            "folder": str(self.folder),
            "listener": listener,
            "shared_listener": shared,
            "settings": self._settings,
            "started_s": self._started_s,
            "since_ns": since_ns,
        }
        worker.tell(command)
        return worker

    def _await_serving(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        with selectors.PollSelector() as selector:
            waiting = list(self._workers)
            for worker in waiting:
                selector.register(worker.answers, selectors.EVENT_READ, worker)
            while waiting:
                ready = selector.select(deadline - time.monotonic())
                if not ready:
                    raise self._failure(waiting.pop(), f"silent for {START_TIMEOUT_S:g} s")
                for key, _ in ready:
                    answer = os.read(key.fd, 65536)
                    if answer != SERVING:
                        told = decode_error(answer)
                        raise told or self._failure(key.data, "failed to start")
                    selector.unregister(key.fd)
                    waiting.remove(key.data)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Let a selector see what the processes say; its data is what to call then."""
        for worker in self._workers:
            self._watch(selector, worker)

    def _watch(self, selector: selectors.BaseSelector, worker: _Worker) -> None:
        on_answer = partial(self._on_answer, selector, worker)
        selector.register(worker.answers, selectors.EVENT_READ, on_answer)

    def _on_answer(self, selector: selectors.BaseSelector, worker: _Worker) -> None:
        if os.read(worker.answers.fileno(), 4096):
            return
        if self._workers.index(worker) not in self._away_until_s:
            raise self._failure(worker, "ended by itself")
        selector.unregister(worker.answers)

    def execute(self, command: Mapping[str, Any]) -> None:
        """Kill processes on purpose; others take their places once ``revive`` is called in time.

        Args:
            command: ``{"kill": number, "back_after_s": …}``, or ``{"restart_after_s": …}`` for all.
        """
        if "kill" in command:
            self._kill([command["kill"] % self._count], command["back_after_s"])
        elif "restart_after_s" in command:
            self._kill(range(self._count), command["restart_after_s"])

    def _kill(self, indexes: Iterable[int], away_s: float) -> None:
        for index in indexes:
            self._away_until_s.setdefault(index, time.monotonic() + away_s)
            self._workers[index].process.kill()

    @property
    def revival_in_s(self) -> float | None:
        """Seconds until the next killed process is due back; None where none is away."""
        if not self._away_until_s:
            return None
        return max(min(self._away_until_s.values()) - time.monotonic(), 0.0)

    def revive(self, selector: selectors.BaseSelector) -> None:
        """Start successors of the killed processes that are due back."""
        for index, due_s in list(self._away_until_s.items()):
            dead = self._workers[index]
            if due_s > time.monotonic() or dead.answers in selector.get_map():
                continue
            dead.process.wait()
            dead.answers.close()
            dead.hang_up()
            listener = socket.create_server(
                (self._host, self.port), backlog=BACKLOG, reuse_port=self._count > 1
            )
            with listener:
                since_ns = time.monotonic_ns()
                self._workers[index] = self._start_worker(index, listener.fileno(), since_ns)
            del self._away_until_s[index]
            self._watch(selector, self._workers[index])

    def reload(self, settings: Mapping[str, Any]) -> None:
        """Give all processes new settings; those who cannot use them keep the old ones."""
        self._settings = dict(settings)
        for worker in self._workers:
            worker.tell(settings)

    def _failure(self, worker: _Worker, found: str) -> MachineError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            found += f" (status {worker.process.wait(timeout=1)})"
        where = f"emulator process {worker.process.pid}"
        return MachineError(where, found, "all processes of an emulator must keep serving")

    def _stop(self) -> None:
        """End the processes: politely by the end of their stdin, then by force."""
        for worker in self._workers:
            worker.hang_up()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process, _, answers in self._workers:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            answers.close()
