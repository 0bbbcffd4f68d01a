"""The master's part of a run: start it, write its record, end it, judge it.

Lives in Locust's master, or in the one process of a local run. Locust drives it through the
events that ``harness.load.plugin`` connects.
"""

import math
import secrets
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import Semaphore
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner

from harness.core.child_errors import ChildError
from harness.core.clock import NS_PER_S
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode
from harness.core.limits import SLO_STOP
from harness.live.run import LiveRun
from harness.load import worker_protocol
from harness.load.channel import STRANGERS, warn_of_open_channel
from harness.load.internal_errors import BUG_HINT, log_error, on_death, sentence_of
from harness.load.master.abort_reason import (
    AbortReason,
    CircuitBreaker,
    Errors,
    exhausted,
    failed_slo,
    no_user_joined,
    refusals,
    stopped_by_user_class,
)
from harness.load.master.assembler import SecondAssembler
from harness.load.master.system_disturbances import SystemDisturbances
from harness.load.master.target import TargetSystem
from harness.load.master.worker_registry import RunRoster, WorkerRegistry
from harness.load.master.worker_watch import WorkerWatch
from harness.load.options import START_DELAY_S, apply_plan, worker_count
from harness.load.ownership import require_owned
from harness.load.preflight import PreparedRun, print_message, report_failure
from harness.load.process import killed_report, make_report
from harness.load.sizing import warn_or_refuse
from harness.load.worker_info import shortages_of
from harness.load.worker_protocol import RunAssignment
from harness.measure.environment import describe_environment
from harness.measure.record import SCHEMA_VERSION, RecordWriter, folder_name
from harness.net.addresses import with_channels
from harness.net.ring_reading import receive_path
from harness.scenario.target import api_key, proxies_of

FINISH_WITHIN_S = 60.0
"""How long workers may take to close their connections and send their accounts."""

FINISH_WITHOUT_ALL_WITHIN_S = 10.0
"""The same, once a lost worker has made the run invalid."""


class Coordinator:
    """One run, from its options to its exit code.

    Args:
        registry: Accepts the workers; not used in a local run.

    Raises:
        HarnessError: If the run cannot be started: record folder, target.
    """

    def __init__(
        self,
        environment: Environment,
        options: Namespace,
        registry: WorkerRegistry,
        prepared: PreparedRun,
    ) -> None:
        self._runner: MasterRunner | LocalRunner = environment.runner  # type: ignore[assignment]
        self._options = options
        self._registry = registry
        self.plan, self._warnings = prepared
        require_owned(self.plan.target, stated=options.owned)
        api_key(self.plan.target)  # Raises now rather than in every worker.
        apply_plan(options, self.plan)
        names = (self.plan.workload.name, self.plan.target.name)
        self.folder = Path(options.out or Path("reports", folder_name(*names, datetime.now(UTC))))
        self.run_id = secrets.token_hex(8)
        self.epoch_ns = 0
        self.abort_reason: AbortReason | None = None
        self.report_output = ""
        self.live: LiveRun | None = None
        """Receives each second too, if the run has live outputs or SLOs that can stop it."""
        self._assembler: SecondAssembler | None = None
        self._assignment: RunAssignment | None = None
        self._workers: list[str] = []
        self._roster = RunRoster(registry, self._warnings, print_message)
        self._watched = WorkerWatch((), 0.0, local=False)
        self._disturbances: SystemDisturbances | None = None
        self._breaker = CircuitBreaker(self.plan.workload.safety)
        self._finishing = Semaphore()
        self._ended_s: float | None = None
        self._started = datetime.now(UTC)
        ways = {"receive_path": receive_path(), "proxies": proxies_of(self.plan.target)}
        self._surroundings = describe_environment() | ways
        self._remote_workers = isinstance(self._runner, MasterRunner) and not options.processes
        """Whether the workers are started elsewhere, rather than by this process."""
        if isinstance(self._runner, MasterRunner):
            self._warnings += warn_of_open_channel()
        self._target = TargetSystem(self.plan, self.folder)
        self._writer: RecordWriter | None = RecordWriter(self.folder)
        if not self._remote_workers:
            self._start_target()

    def _start_target(self) -> None:
        try:
            self._target.start()
        except BaseException:  # Ctrl-C too: a run that never began leaves no folder.
            if self._writer is not None:
                self._writer.discard()
            raise

    def workers_known(self, ids: list[str]) -> None:
        """Take the Locust ids of the workers, in order of worker number."""
        # Locust assigns users again when it misses a worker; the workers stay.
        if self._assignment is None:
            self._workers = ids

    def await_workers(self) -> None:
        """Wait until enough workers have registered and measured their clocks.

        Raises:
            MachineError: If one is incompatible, its machine is too small, or too few are ready in
                time.
        """
        if isinstance(self._runner, LocalRunner):
            return
        options, count = self._options, worker_count(self._options)
        try:
            local = count if options.processes else 0
            self._registry.wait(count, options.expect_workers_max_wait or 0, print_message, local)
            if self._remote_workers:
                self._check_remote_workers(count)
        except MachineError as error:
            if self._remote_workers:
                self._registry.refuse_all(error)
            raise

    def _check_remote_workers(self, count: int) -> None:
        """Check the machines of remote workers, then start the target's emulator for them."""
        if self.plan.target.emulator is not None:
            self._registry.require_reachable(self.plan.target.emulator.host)
        short = shortages_of(self._registry.workers_info, self.plan, count)
        self._warnings += warn_or_refuse(short, force=self._options.force)
        self._start_target()

    def begin(self) -> None:
        """Fix the timetable and send the assignment; called as Locust starts the test."""
        self._guarded(self._begin)

    def _begin(self) -> None:
        if isinstance(self._runner, LocalRunner):
            self._workers = ["local"]
            self._roster.admit_local()
        else:
            self._roster.admit(self._workers)
        self.epoch_ns = time.time_ns() + round(START_DELAY_S * NS_PER_S)
        self._assignment = RunAssignment(
            self.run_id, self.epoch_ns, self.plan, self._target.endpoints, tuple(self._workers)
        )
        self._options.harness_assignment = self._assignment.to_json()
        assert self._writer is not None  # noqa: S101  made in __init__
        self._writer.begin(self.epoch_ns)
        watch = self.live.second if self.live is not None else None
        self._assembler = SecondAssembler(self.plan, self._writer, len(self._workers), watch)
        local, first_report_s = bool(self._options.processes), time.monotonic() + START_DELAY_S
        pids = self._registry.pids if local else {}
        self._watched = WorkerWatch(self._workers, first_report_s, local=local, pids=pids)
        self._disturbances = SystemDisturbances(
            self.plan,
            self.epoch_ns,
            self._target.endpoints,
            self._target.emulator,
            self._warnings.append,
        )
        self._disturbances.start(self._spawn)
        if self.live is not None:
            rows = self._disturbances.rows
            self.live.begin(self.run_id, self.epoch_ns, len(self._workers), rows, self._warnings)
        self._write_run("running")
        self._spawn(self._watch)
        self._spawn(self._end_in_time)

    def _spawn(self, body: Callable[..., object], *arguments: object) -> None:
        """Start a greenlet that ends the run if it dies."""
        on_death(gevent.spawn(body, *arguments), self._fail)

    def _fail(self, sentence: str) -> None:
        message = f"the master failed: {sentence}"
        self.abort(AbortReason("internal_error", ExitCode.RUN_INVALID, message, BUG_HINT))

    def on_second(self, report: dict[str, Any]) -> None:
        """Take one worker's second."""
        self._watched.reported(report["worker"], report["pid"])
        self._breaker.add(report)
        if self._assembler is not None:
            self._guarded(lambda: self._assembler.add(report))

    def on_connections(self, connections: list[dict[str, Any]]) -> None:
        """Take rows of the connections table."""
        if self._writer is not None:
            self._guarded(lambda: self._writer.append("connections", connections))

    def on_failed(
        self, worker: int, message: str, exit_code: int, *, started: bool = False
    ) -> None:
        """End the run: a worker could not start, or an exception of ours ended its accounting."""
        what = "failed" if started else "could not start"
        if not started:
            self._watched.done(worker)
        sentence, _, hint = f"worker {worker} {what}: {message}".partition("\nhint: ")
        self.abort(AbortReason("worker_failed", ExitCode(exit_code), sentence, hint or None))

    def on_done(self, worker: int) -> None:
        """Note that a worker has sent everything."""
        self._watched.done(worker)

    def _guarded(self, write: Any) -> None:
        """Write to the record; a full disk ends the run."""
        try:
            write()
        except MachineError as error:
            sentence = f"{error.where}: {error.found}, {error.required}"
            hint = f"free some space, then report what was measured: harness report {self.folder}"
            self.abort(AbortReason("disk_full", ExitCode.RUN_INVALID, sentence, hint))
            self._assembler = None
        except Exception as error:  # noqa: BLE001 - the run must still come to its end
            self._fail(sentence_of(error))
            log_error(error)

    def _end_in_time(self) -> None:
        """End the run when its timetable does."""
        end_ns = self.epoch_ns + round(self.plan.total_s * NS_PER_S)
        while (left_ns := end_ns - time.time_ns()) > 0:
            gevent.sleep(left_ns / NS_PER_S)
        self._runner.quit()

    def _watch(self) -> None:
        """Check once a second for a reason to end the run."""
        began_s = time.monotonic()
        while self.abort_reason is None and self._ended_s is None:
            gevent.sleep(1.0)
            reason = self._reason_to_abort(time.monotonic() - began_s)
            if reason is not None and self._ended_s is None:
                self.abort(reason)

    def _reason_to_abort(self, since_begin_s: float) -> AbortReason | None:
        if failure := self._target.failure():
            return failure
        if self._options.allow_lost_workers:
            self._go_on_without_lost()
        if complaint := self._watched.problem():
            hint = "it was killed, crashed or starved; its users are gone, start the run again"
            return AbortReason("worker_lost", ExitCode.RUN_INVALID, complaint, hint)
        errors = self._errors()
        return (
            exhausted(errors)
            or self._no_user_joined(since_begin_s - START_DELAY_S)
            or self._breaker.reason(errors)
            or failed_slo(self.live)
        )

    def _errors(self) -> Errors:
        return self._assembler.errors if self._assembler is not None else {}

    def _go_on_without_lost(self) -> None:
        for number, sentence in self._watched.take_lost():
            if self._assembler is not None:
                joined = self._assembler.joined[number]
                self._roster.lose(number, sentence, joined, self._elapsed_s())
                self._assembler.lose(number)

    def _elapsed_s(self) -> float:
        return max((time.time_ns() - self.epoch_ns) / NS_PER_S, 0.0)

    def _no_user_joined(self, elapsed_s: float) -> AbortReason | None:
        """Return the reason to end the run if all users have tried to join and none succeeded."""
        seen = self._assembler
        if seen is None or seen.joined.total() or seen.joins_attempted == 0:
            return None
        refused = refusals(seen.errors)
        failed = refused.total()
        join_end_s = self.plan.phases[0].end_s + self.plan.workload.joins.timeout_s
        if not refused or (failed < self.plan.users and elapsed_s < join_end_s):
            return None
        address = with_channels(self._target.endpoints.realtime, [self.plan.channel_path(0)])
        return no_user_joined(address, refused)

    def abort(self, reason: AbortReason) -> None:
        """End the run early; the first reason stays."""
        if self.abort_reason is None:
            self.abort_reason = reason
            gevent.spawn(self._runner.quit)
            report_failure(ChildError(reason.code, reason.message, reason.hint, reason.exit_code))

    def on_stopped(self, message: str) -> None:
        """End the run that a user class has stopped, unless it is already over."""
        under_way = self._assignment is not None and self._ended_s is None
        if under_way and self._elapsed_s() < self.plan.total_s - 0.1:
            self.abort(stopped_by_user_class(message))

    def finish(self) -> None:
        """Have workers close and send their records; called before Locust kills the users."""
        if self._assignment is None:
            return
        with self._finishing:  # A second call, by a signal, waits until everything has arrived.
            if self._ended_s is None:
                self._ended_s = self._elapsed_s()
                self._runner.send_message(worker_protocol.FINISH, {})
            lost = self.abort_reason is not None and self.abort_reason.code == "worker_lost"
            within_s = FINISH_WITHOUT_ALL_WITHIN_S if lost else FINISH_WITHIN_S
            deadline_s = time.monotonic() + within_s
            while self._watched.awaited and time.monotonic() < deadline_s:
                gevent.sleep(0.05)

    def conclude(self) -> int:
        """Close the record, stop the emulator, make the report; return the exit code.

        If ``harness run`` started this process, it makes the report itself.
        """
        self.finish()
        if self._assignment is not None:
            self._target.save_ground_truth()
        self._target.stop()
        if self._assignment is None:
            if self._writer is not None:
                self._writer.discard()
            return int(self.abort_reason.exit_code if self.abort_reason else ExitCode.INTERRUPTED)
        if self.abort_reason is None:
            self.abort_reason = self._reason_for_end()
        if self._assembler is not None:
            self._guarded(self._assembler.flush)
        if self.live is not None:
            self.live.end(
                self._ended_s or 0.0, self.abort_reason.message if self.abort_reason else None
            )
        self._warnings += STRANGERS.warnings()
        self._write_run(self.abort_reason.status if self.abort_reason else "completed")
        if self._writer is not None:
            self._writer.close()
        self._writer = self._assembler = None
        return self._report()

    def _reason_for_end(self) -> AbortReason | None:
        """Return why a run that was not aborted is incomplete; None if it is complete."""
        ended_s = self._ended_s or 0.0
        if ended_s < self.plan.total_s - 0.1:
            message = f"interrupted after {ended_s:.0f} s"
            # Locust itself can be the first to fail when the machine has run out of something.
            interrupted = AbortReason("interrupted", ExitCode.INTERRUPTED, message)
            return exhausted(self._errors()) or interrupted
        return self._no_user_joined(math.inf)

    def _write_run(self, status: str) -> None:
        if self._writer is None:
            return
        run = {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "status": status,
            "cause": self.abort_reason.to_json() if self.abort_reason else None,
            "label": self.plan.label,
            "tags": self.plan.tags,
            "started_at": self._started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "epoch_ns": self.epoch_ns,
            "ended_s": self._ended_s,
            "plan": self.plan.recorded(),
            "phases": [phase.model_dump() for phase in self.plan.phases],
            "environment": self._surroundings,
            "users": self._assembler.users if self._assembler else None,
            "workers": self._roster.rows,
            "disturbances": self._disturbances.rows if self._disturbances else [],
            "warnings": self._warnings,
        }
        self._guarded(lambda: self._writer.write_run(run))

    def _report(self) -> int:
        """Make the report, unless ``harness run`` does; return the exit code."""
        reason = self.abort_reason
        if self._options.plan or (reason is not None and reason.code == "disk_full"):
            return int(reason.exit_code if reason else ExitCode.PASS)
        status, self.report_output = make_report(self.folder)
        if status < 0:  # What it has printed may be no verdict.
            self.report_output = ""
            report_failure(killed_report(-status, self.folder))
            return int(reason.exit_code if reason else ExitCode.INTERNAL_ERROR)
        return int(reason.exit_code) if reason and reason.code != SLO_STOP else status
