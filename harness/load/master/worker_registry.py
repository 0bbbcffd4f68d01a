"""The workers that have come: who they are, whether they fit, whether they know their clocks."""

import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import gevent

from harness.core.clock import machine_id
from harness.core.errors import MachineError
from harness.load import worker_protocol as messages
from harness.load.worker_info import WorkerInfo
from harness.measure.environment import harness_version

SAY_EVERY_S = 10.0
NOT_ABROAD = frozenset(("localhost", "::1", "0.0.0.0", "::"))
"""Hosts under which other machines do not find an emulator."""

Send = Callable[[str, dict[str, Any] | None, str], None]


class WorkerRegistry:
    """Welcomes workers, tells them the time, and refuses those that would not measure alike.

    Args:
        send: Sends a message of a kind with data to the worker of an id.
        measure_clocks: Whether to measure the clocks of workers on this machine too.
        system: The system that the target is of.
        users: What tells the master's locustfile from others.
        locustfile: That file's name; empty without one of its own.
    """

    def __init__(
        self,
        send: Send,
        *,
        measure_clocks: bool,
        system: str,
        users: str = "",
        locustfile: str = "",
    ) -> None:
        self._send = send
        self._system = system
        self._users = users
        self._locustfile = locustfile
        self._clock_of = "" if measure_clocks else machine_id()
        self._recruits: dict[str, WorkerInfo] = {}
        self._ready: set[str] = set()
        self._enlisted: set[str] | None = None
        self._refusal: MachineError | None = None
        self.on_late: Callable[[str], None] = lambda _worker: None
        """Told the name of a worker that came after the run began."""

    @cached_property
    def _mine(self) -> dict[str, str | None]:
        # Not at once: it starts a process, and the machine has not been found fit to by then.
        return harness_version()

    def hello(self, worker: str, data: dict[str, Any]) -> None:
        """Welcome a worker, or tell it why not."""
        info = WorkerInfo.from_message(data)
        if self._enlisted is not None and worker not in self._enlisted:
            self._send_away(worker, info)
            return
        if (refusal := self._mismatch(info)) is not None:
            self._refusal = refusal
            self._send(messages.WELCOME, {"refused": str(refusal)}, worker)
            return
        self._recruits[worker] = info
        self._send(messages.WELCOME, {"run_clock_of": self._clock_of}, worker)

    def _mismatch(self, info: WorkerInfo) -> MachineError | None:
        version, revision = self._mine["version"], self._mine["revision"]
        hint = "install the same version of the harness on every machine"
        where = str(info)
        if info.version != version:
            required = f"the master runs {version} and all must run the same"
            return MachineError(where, f"runs harness {info.version}", required, hint)
        if revision and info.revision and info.revision != revision:
            required = f"the master's is {revision} and all must run the same"
            return MachineError(where, f"runs git revision {info.revision}", required, hint)
        if self._system not in info.systems:
            found = f"its users can join {', '.join(info.systems) or 'no system'}"
            required = f"the target is of system {self._system}"
            hint = "install the package of that system there too, and start it with harness worker"
            return MachineError(where, found, required, hint)
        if info.users != self._users:
            hint = "start master and workers with equal files: --locustfile FILE"
            found = f"uses {_used(info.locustfile)}"
            required = f"the master uses {_used(self._locustfile)}"
            if info.locustfile == self._locustfile:
                found, required = f"{found} of other content", "the master's must be equal"
            return MachineError(where, found, required, hint)
        return None

    def _send_away(self, worker: str, info: WorkerInfo) -> None:
        text = "the run has begun, and the shares of its plan are dealt"
        error = MachineError(str(info), "came too late", text)
        self._send(messages.WELCOME, {"refused": str(error)}, worker)
        self.on_late(f"{worker} on {info.host}")

    def clock_asked(self, worker: str, asked_ns: int) -> None:
        """Tell a worker the run clock."""
        told = {"asked_ns": asked_ns, "answered_ns": time.time_ns()}
        self._send(messages.CLOCK_TOLD, told, worker)

    def ready(self, worker: str) -> None:
        """Note that a worker can begin."""
        self._ready.add(worker)

    def wait(self, count: int, within_s: float, say: Callable[[str], None]) -> None:
        """Wait until as many workers are ready.

        Args:
            count: How many the plan is dealt to.
            within_s: How long to wait at most; 0 for as long as it takes.
            say: Tells the user something.

        Raises:
            MachineError: If a worker does not fit, or not enough came in time.
        """
        began_s = said_s = time.monotonic()
        while len(self._ready) < count:
            if self._refusal is not None:
                raise self._refusal
            now_s = time.monotonic()
            if within_s and now_s - began_s > within_s:
                raise self._too_few(count, within_s)
            if now_s - said_s > SAY_EVERY_S:
                said_s = now_s
                say(f"waiting for workers: {len(self._ready)} of {count} are ready{self._who()}")
            gevent.sleep(0.02)

    def _too_few(self, count: int, within_s: float) -> MachineError:
        found = f"{len(self._ready)} of {count} were ready within {within_s:g} s{self._who()}"
        hint = "start the others with harness worker --master-host, and let them reach this port"
        return MachineError("workers", found, "all must be before the run begins", hint)

    def _who(self) -> str:
        names = sorted(info.host for info in self._recruits.values())
        return f" ({', '.join(names)})" if names else ""

    def check_reach(self, host: str) -> None:
        """See that an emulated target is not on a loopback address that others cannot reach.

        Args:
            host: Where it listens; on all addresses it is told to workers as a loopback one.

        Raises:
            MachineError: If it is, and a worker is on another machine.
        """
        here = machine_id()
        far = sorted({r.host for r in self._recruits.values() if r.machine != here})
        if far and (host.startswith("127.") or host in NOT_ABROAD):
            raise MachineError(
                "target.emulator.host",
                f"the emulator answers on {host}",
                f"workers on {', '.join(far)} must reach it",
                "give an address of this machine: --set target.emulator.host=ADDRESS",
            )

    @property
    def workers_info(self) -> Iterable[WorkerInfo]:
        """The workers that have come and fit."""
        return self._recruits.values()

    def dismiss(self, error: MachineError) -> None:
        """Tell all who have come, and fit, why nothing is run."""
        refused = str(error)
        if error is self._refusal:
            refused = f"this worker fits, another does not, so nothing is run: {error}"
        for worker in self._recruits:
            self._send(messages.WELCOME, {"refused": refused}, worker)

    def enlist(self, ids: list[str]) -> list[dict[str, Any]]:
        """Fix who takes part; send away whoever else came. Return a row for each, in their order.

        Args:
            ids: Locust's client ids, in order of worker number.
        """
        self._enlisted = set(ids)
        for worker, info in self._recruits.items():
            if worker not in self._enlisted:
                self._send_away(worker, info)
        return [{"index": n, "id": worker, **self._row(worker)} for n, worker in enumerate(ids)]

    def _row(self, worker: str) -> dict[str, Any]:
        info = self._recruits.get(worker)
        if info is None:
            return {}
        clock = "run clock" if info.machine == self._clock_of else "measured"
        return {
            "host": info.host,
            "version": info.version,
            "revision": info.revision,
            "clock": clock,
        }


def _used(locustfile: str) -> str:
    return f"--locustfile {locustfile}" if locustfile else "no --locustfile"
