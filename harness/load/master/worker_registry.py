"""Worker registration, compatibility checks, clock synchronisation, and assignment of users."""

import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import gevent
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

from harness.core.clock import machine_id
from harness.core.errors import MachineError
from harness.core.hosts import LOOPBACK_OF, is_ipv4_loopback, is_loopback
from harness.load import worker_protocol
from harness.load.master.worker_watch import require_alive
from harness.load.worker_info import WorkerInfo
from harness.measure.environment import harness_version

PROGRESS_EVERY_S = 10.0
CHECK_EVERY_S = 1.0
Send = Callable[[str, dict[str, Any] | None, str], None]


class WorkerRegistry:
    """Accepts workers, answers their clock requests, and refuses those that are incompatible.

    Args:
        send: Sends a message of a kind with data to the worker of an id.
        measure_clocks: Whether to measure the clocks of workers on this machine too.
        users: Fingerprint of the master's locustfile.
        locustfile: That file's name; empty for the packaged one.
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
        self._workers: dict[str, WorkerInfo] = {}
        self._ready: set[str] = set()
        self._admitted: set[str] | None = None
        self._refusal: MachineError | None = None
        self.on_late: Callable[[str], None] = lambda _worker: None
        """Called with the name of a worker that registers after the run began."""

    @cached_property
    def _own_version(self) -> dict[str, str | None]:
        # Lazily: it starts a process, and the machine may still turn out to be too small.
        return harness_version()

    def register(self, worker: str, data: dict[str, Any]) -> None:
        """Accept a worker, or refuse it with the reason."""
        info = WorkerInfo.from_message(data)
        if self._admitted is not None and worker not in self._admitted:
            self._refuse_late(worker, info)
            return
        if (refusal := self._mismatch(info)) is not None:
            self._refusal = refusal
            self._send(worker_protocol.REGISTERED, {"refused": str(refusal)}, worker)
            return
        self._workers[worker] = info
        self._send(worker_protocol.REGISTERED, {"run_clock_of": self._clock_of}, worker)

    def _mismatch(self, info: WorkerInfo) -> MachineError | None:
        version, revision = self._own_version["version"], self._own_version["revision"]
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
            found = f"uses {_usage(info.locustfile)}"
            required = f"the master uses {_usage(self._locustfile)}"
            if info.locustfile == self._locustfile:
                found, required = f"{found} of other content", "the master's must be equal"
            return MachineError(where, found, required, hint)
        return None

    def _refuse_late(self, worker: str, info: WorkerInfo) -> None:
        text = "the run has begun, and its users are assigned"
        error = MachineError(str(info), "registered too late", text)
        self._send(worker_protocol.REGISTERED, {"refused": str(error)}, worker)
        self.on_late(f"{worker} on {info.host}")

    def answer_clock(self, worker: str, asked_ns: int) -> None:
        """Send a worker the run clock."""
        reply = {"asked_ns": asked_ns, "answered_ns": time.time_ns()}
        self._send(worker_protocol.CLOCK_REPLY, reply, worker)

    def ready(self, worker: str) -> None:
        """Note that a worker has measured its clock and can begin."""
        self._ready.add(worker)

    def wait(
        self,
        count: int,
        within_s: float,
        report: Callable[[str], None],
        local: int = 0,
    ) -> None:
        """Wait until as many workers are ready, ``within_s`` at most; 0 for no limit.

        ``local`` is the number of workers that this process has forked.

        Raises:
            MachineError: If a worker is incompatible, or too few were ready in time.
            InvalidRunError: If a local worker has ended.
        """
        began_s = printed_s = checked_s = time.monotonic()
        while len(self._ready) < count:
            if self._refusal is not None:
                raise self._refusal
            now_s = time.monotonic()
            if within_s and now_s - began_s > within_s:
                raise self._too_few(count, within_s)
            if now_s - checked_s > CHECK_EVERY_S:
                checked_s = now_s
                require_alive(local)
            if now_s - printed_s > PROGRESS_EVERY_S:
                printed_s = now_s
                ready = f"{len(self._ready)} of {count} are ready{self._hosts()}"
                report(f"waiting for workers: {ready}")
            gevent.sleep(0.02)

    def _too_few(self, count: int, within_s: float) -> MachineError:
        found = f"{len(self._ready)} of {count} were ready within {within_s:g} s{self._hosts()}"
        hint = "start the others with harness worker --master-host, and let them reach this port"
        return MachineError("workers", found, "all must be before the run begins", hint)

    def _hosts(self) -> str:
        names = sorted(info.host for info in self._workers.values())
        return f" ({', '.join(names)})" if names else ""

    def require_reachable(self, host: str) -> None:
        """Refuse an emulator on a loopback address when a worker is on another machine.

        Args:
            host: Where it listens. One that listens on all interfaces has a loopback address in
                the run assignment.

        Raises:
            MachineError: If such a worker cannot reach it.
        """
        here = machine_id()
        far = sorted({r.host for r in self._workers.values() if r.machine != here})
        if far and (is_loopback(host) or is_ipv4_loopback(host) or host in LOOPBACK_OF):
            raise MachineError(
                "target.emulator.host",
                f"the emulator answers on {host}",
                f"workers on {', '.join(far)} must reach it",
                "give an address of this machine: --set target.emulator.host=ADDRESS",
            )

    @property
    def workers_info(self) -> Iterable[WorkerInfo]:
        """The workers that have registered and are compatible."""
        return self._workers.values()

    @property
    def pids(self) -> dict[str, int]:
        """The process of each worker that has registered and is compatible."""
        return {worker: info.pid for worker, info in self._workers.items()}

    def refuse_all(self, error: MachineError) -> None:
        """Send all compatible workers the reason why nothing is run."""
        refused = str(error)
        if error is self._refusal:
            refused = f"this worker fits, another does not, so nothing is run: {error}"
        for worker in self._workers:
            self._send(worker_protocol.REGISTERED, {"refused": refused}, worker)

    def admit(self, ids: list[str]) -> list[dict[str, Any]]:
        """Fix the run's workers by Locust's ids, in order of number; return a row for each."""
        self._admitted = set(ids)
        for worker, info in self._workers.items():
            if worker not in self._admitted:
                self._refuse_late(worker, info)
        return [{"index": n, "id": worker, **self._row(worker)} for n, worker in enumerate(ids)]

    def _row(self, worker: str) -> dict[str, Any]:
        info = self._workers.get(worker)
        if info is None:
            return {}
        clock = "run clock" if info.machine == self._clock_of else "measured"
        return {
            "host": info.host,
            "version": info.version,
            "revision": info.revision,
            "clock": clock,
        }


def _usage(locustfile: str) -> str:
    return f"--locustfile {locustfile}" if locustfile else "no --locustfile"


class RunRoster:
    """The workers of one run, as its record lists them: admitted, lost, or too late.

    Args:
        registry: Where they registered; not used in a local run.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        warnings: list[dict[str, Any]],
        report: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._warnings = warnings
        self._report = report
        self.rows: list[dict[str, Any]] = []
        """A row of run.json for each, in order of worker number."""

    def admit_local(self) -> None:
        """Note that this process is the only worker."""
        self.rows = [{"index": 0, "id": "local", "clock": "run clock"}]

    def admit(self, ids: list[str]) -> None:
        """Fix the run's workers by Locust's ids, in order of number; later ones are refused."""
        self._registry.on_late = self._on_late
        self.rows = self._registry.admit(ids)

    def lose(self, number: int, sentence: str, joined: int, lost_at_s: float) -> None:
        """Continue without a worker that was found lost ``lost_at_s`` seconds after the epoch."""
        self.rows[number] |= {"lost_at_s": lost_at_s, "joined": joined}
        hint = (
            f"its {joined} users and 1/{len(self.rows)} of the publishes were missing from then "
            "on, and the run went on without them, as --allow-lost-workers says"
        )
        self._warn("worker_lost", sentence, hint)

    def _on_late(self, worker: str) -> None:
        hint = f"the {len(self.rows)} workers of the run carry all of its users"
        sentence = f"{worker} registered after the run had begun and was refused"
        self._warn("worker_late", sentence, hint)

    def _warn(self, code: str, sentence: str, hint: str) -> None:
        self._report(f"warning: {sentence}\nhint: {hint}")
        note = {"code": code, "observed": sentence, "limit": None, "hint": hint}
        self._warnings.append(note | {"invalidates": False})


class NumberedDispatcher(UsersDispatcher):
    """Gives the k-th user of each class to worker k modulo W.

    Locust distributes users of all classes round robin, which can put every chatter on one worker.
    Here each worker knows its users' global numbers, and so its own part of the schedule, from its
    own number alone.

    Users are assigned once. A late worker gets none, and the users of a lost worker are not
    reassigned: they would have to join in the middle of what is measured.

    Args:
        workers: How many workers share the plan; any others get no users.
        on_workers: Called with the workers' ids in order of their number.
    """

    def __init__(
        self,
        *,
        workers: int,
        on_workers: Callable[[list[str]], None],
        worker_nodes: list[WorkerNode],
        **kwargs: Any,
    ) -> None:
        super().__init__(worker_nodes=worker_nodes[:workers], **kwargs)
        on_workers([node.id for node in self._worker_nodes])

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Assign no users to a late worker."""

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """Leave the users of a lost worker assigned to it."""

    def _add_users_on_workers(self) -> dict[str, dict[str, int]]:
        batch = self._user_count_per_dispatch_iteration
        target = min(self._current_user_count + batch, self._target_user_count)
        while self._current_user_count < target:
            user = next(self._user_generator)
            if user is None:
                self._no_user_to_spawn = True
                break
            number = self._get_user_current_count(user)
            node = self._worker_nodes[number % len(self._worker_nodes)]
            self._users_on_workers[node.id][user] += 1
            self._current_user_count += 1
            self._active_users.append((node, user))
        return self._users_on_workers
