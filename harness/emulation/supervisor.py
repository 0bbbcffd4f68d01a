"""The parent of emulators while they serve: waits for signals, and for what must not happen."""

import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Self

import orjson

from harness.emulation.processes import EmulatorProcesses
from harness.emulation.worker import STDIN

_STOP, _RELOAD = b"S", b"R"
_MEANING = {signal.SIGINT: _STOP, signal.SIGTERM: _STOP, signal.SIGHUP: _RELOAD}


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into something to wait for, while entered.

    The first two mean stop. SIGHUP means reload, unless it came because the terminal that the
    emulator was started from has gone; where that may go, as under ``nohup``, it always does. For
    the main thread only.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        may_go = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._needs_terminal = _has_terminal() and not may_go

    def fileno(self) -> int:
        """Return a descriptor that is readable once a signal has come."""
        return self._ours.fileno()

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in _MEANING}
        return self

    def _note(self, number: int, _frame: object) -> None:
        self._theirs.send(_MEANING[signal.Signals(number)])

    def mean_stop(self) -> bool:
        """Take the next signal, which must have come; return whether it means stop."""
        is_stop = self._ours.recv(1) == _STOP
        return is_stop or (self._needs_terminal and not _has_terminal())

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()


def _has_terminal() -> bool:
    """Return whether this process has a terminal that could hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def supervise(
    emulators: Sequence[EmulatorProcesses],
    signals: Signals,
    *,
    reload: Callable[[], None] = lambda: None,
    until_stdin_ends: bool = False,
) -> None:
    """Return when emulators should stop.

    Args:
        emulators: Those that serve.
        signals: Entered before they were started.
        reload: Called when they shall have new settings.
        until_stdin_ends: Whether the end of our stdin also means stop. Until then each line of
            it is a command in JSON, see ``EmulatorProcesses.execute``.

    Raises:
        MachineError: If one of their processes ended by itself.
    """
    with selectors.PollSelector() as selector:
        for emulator in emulators:
            emulator.watch(selector)
        selector.register(signals, selectors.EVENT_READ)
        if until_stdin_ends:
            selector.register(STDIN, selectors.EVENT_READ)
        while True:
            due_s = [emulator.revival_in_s for emulator in emulators]
            for key, _ in selector.select(min((s for s in due_s if s is not None), default=None)):
                if key.fileobj is signals:
                    if signals.mean_stop():
                        return
                    reload()
                elif key.fd == STDIN:
                    if not (read := os.read(STDIN, 4096)):
                        return
                    _pass_on(read, emulators)
                else:
                    key.data()
            for emulator in emulators:
                emulator.revive(selector)


def _pass_on(read: bytes, emulators: Sequence[EmulatorProcesses]) -> None:
    for line in read.splitlines():
        for emulator in emulators:
            emulator.execute(orjson.loads(line))
