"""The master's part of a run: start it, write its record, end it, judge it.

Lives in Locust's master, or in the one process of a local run. Locust drives it through the
events that ``harness.load.plugin`` connects.
"""

import contextlib
import json
import math
import secrets
import signal
import subprocess
import time
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import Semaphore
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner

from harness.core.child_errors import ChildError
from harness.core.child_python import python_command
from harness.core.clock import NS_PER_S
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode
from harness.live.run import LiveRun
from harness.load import worker_protocol
from harness.load.master.abort_reason import (
    AbortReason,
    CircuitBreaker,
    exhausted,
    nobody_joined,
    refusals,
    stopped_by_user_class,
)
from harness.load.master.assembler import SecondAssembler
from harness.load.master.emulator_controls import EmulatorControls
from harness.load.master.emulator_process import EmulatorProcess
from harness.load.master.reachability import check_reachable
from harness.load.master.system_disturbances import SystemDisturbances
from harness.load.master.worker_registry import RunRoster, WorkerRegistry
from harness.load.master.worker_watch import WorkerWatch
from harness.load.options import START_DELAY_S, apply_plan, worker_count
from harness.load.ownership import require_owned
from harness.load.preflight import Prepared, say, tell
from harness.load.sizing import warn_or_refuse
from harness.load.worker_info import shortages_of
from harness.load.worker_protocol import Endpoints, RunAssignment
from harness.measure.environment import describe_environment
from harness.measure.record import SCHEMA_VERSION, RecordWriter, folder_name
from harness.net.ring_reading import receive_path
from harness.scenario.target import api_key

FINISH_WITHIN_S = 60.0
"""How long workers may take to close their connections and send their accounts."""

FINISH_WITHOUT_ALL_WITHIN_S = 10.0
"""The same, once a worker is lost and the run has come to nothing."""


class Coordinator:
    """One run, from its options to its exit code.

    Args:
        environment: Locust's environment, with a master or local runner.
        options: Locust's parsed options, ours included.
        registry: The workers that come; not used in a local run.
        prepared: What the options came to.

    Raises:
        HarnessError: If the run cannot be started: record folder, target.
    """

    def __init__(
        self,
        environment: Environment,
        options: Namespace,
        registry: WorkerRegistry,
        prepared: Prepared,
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
        self.cause: AbortReason | None = None
        self.report_output = ""
        self.live: LiveRun | None = None
        """Takes each second too, where somebody watches the run."""
        self._endpoints: Endpoints
        self._emulator: EmulatorProcess | None = None
        self._writer: RecordWriter | None = None
        self._assembler: SecondAssembler | None = None
        self._order: RunAssignment | None = None
        self._workers: list[str] = []
        self._roster = RunRoster(registry, self._warnings, say)
        self._watched = WorkerWatch((), 0.0, local=False)
        self._disturbances: SystemDisturbances | None = None
        self._breaker = CircuitBreaker(self.plan.workload.safety)
        self._finishing = Semaphore()
        self._ended_s: float | None = None
        self._started = datetime.now(UTC)
        self._surroundings = describe_environment() | {"receive_path": receive_path()}
        self._far = isinstance(self._runner, MasterRunner) and not options.processes
        """Whether the load is made by workers that are started elsewhere."""
        self._prepare_target()

    def _prepare_target(self) -> None:
        """See that the target answers, or start its emulator; make the record's folder."""
        target = self.plan.target
        if (addresses := target.endpoints) is not None:
            self._endpoints = Endpoints(addresses.http, addresses.realtime, target.tls.ca_file)
            check_reachable(self._endpoints.realtime)
        self._writer = RecordWriter(self.folder)
        if not self._far:
            self._start_emulator()

    def _start_emulator(self) -> None:
        """Start the system under test, where it is an emulated one."""
        if self.plan.target.emulator is None:
            return
        log_file = self.folder / "emulator.log"
        try:
            self._emulator = EmulatorProcess(self.plan.target_file, self.plan.target, log_file)
        except BaseException:  # Ctrl-C too: a run that never began leaves no folder.
            if self._writer is not None:
                self._writer.discard()
            raise
        self._endpoints = self._emulator.endpoints

    def workers_known(self, ids: list[str]) -> None:
        """Learn the workers' Locust ids in order of their number."""
        if self._order is None:  # Locust deals again when it misses a worker; shares stay.
            self._workers = ids

    def await_workers(self) -> None:
        """Wait until those that the plan needs are here and know their clocks.

        Raises:
            MachineError: If one does not fit, if its machine cannot carry its share, or if they
                do not come in time.
        """
        if isinstance(self._runner, LocalRunner):
            return
        options, count = self._options, worker_count(self._options)
        try:
            self._registry.wait(count, options.expect_workers_max_wait or 0.0, say)
            if self._far:
                self._admit(count)
        except MachineError as error:
            if self._far:
                self._registry.refuse_all(error)
            raise

    def _admit(self, count: int) -> None:
        """See that machines elsewhere will do; only then is there anything for them to load."""
        if self.plan.target.emulator is not None:
            self._registry.require_reachable(self.plan.target.emulator.host)
        short = shortages_of(self._registry.workers_info, self.plan, count)
        self._warnings += warn_or_refuse(short, force=self._options.force)
        self._start_emulator()

    def begin(self) -> None:
        """Fix the timetable and give the order; called as Locust starts the test."""
        if isinstance(self._runner, LocalRunner):
            self._workers = ["local"]
            self._roster.admit_local()
        else:
            self._roster.admit(self._workers)
        self.epoch_ns = time.time_ns() + round(START_DELAY_S * NS_PER_S)
        self._order = RunAssignment(
            self.run_id, self.epoch_ns, self.plan, self._endpoints, tuple(self._workers)
        )
        self._options.harness_order = self._order.to_json()
        assert self._writer is not None  # noqa: S101  made in __init__
        self._writer.begin(self.epoch_ns)
        watch = self.live.second if self.live is not None else None
        self._assembler = SecondAssembler(self.plan, self._writer, len(self._workers), watch)
        self._watched = WorkerWatch(
            self._workers,
            time.monotonic() + START_DELAY_S,
            local=bool(self._options.processes),
        )
        self._disturbances = SystemDisturbances(
            self.plan, self.epoch_ns, self._endpoints, self._emulator, self._warnings.append
        )
        self._disturbances.start()
        if self.live is not None:
            rows = self._disturbances.rows
            self.live.begin(self.run_id, self.epoch_ns, len(self._workers), rows, self._warnings)
        self._write_run("running")
        gevent.spawn(self._watch)
        gevent.spawn(self._end_in_time)

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

    def on_failed(self, worker: int, said: str, exit_code: int) -> None:
        """End the run: a worker could not start."""
        self._watched.done(worker)
        sentence, _, hint = f"worker {worker} could not start: {said}".partition("\nhint: ")
        self.abort(AbortReason("worker_failed", ExitCode(exit_code), sentence, hint or None))

    def on_done(self, worker: int) -> None:
        """Note that a worker has sent everything."""
        self._watched.done(worker)

    def _guarded(self, write: Any) -> None:
        """Write to the record; a disk that takes no more ends the run, in one sentence."""
        try:
            write()
        except MachineError as error:
            sentence = f"{error.where}: {error.found}, {error.required}"
            hint = f"free some space, then see what was measured: harness report {self.folder}"
            self.abort(AbortReason("disk_full", ExitCode.RUN_INVALID, sentence, hint))
            self._assembler = None

    def _end_in_time(self) -> None:
        """End the run when its timetable does."""
        end_ns = self.epoch_ns + round(self.plan.total_s * NS_PER_S)
        while (left_ns := end_ns - time.time_ns()) > 0:
            gevent.sleep(left_ns / NS_PER_S)
        self._runner.quit()

    def _watch(self) -> None:
        """Look once a second for what makes going on pointless."""
        began_s = time.monotonic()
        while self.cause is None and self._ended_s is None:
            gevent.sleep(1.0)
            cause = self._trouble(time.monotonic() - began_s)
            if cause is not None and self._ended_s is None:
                self.abort(cause)

    def _trouble(self, since_begin_s: float) -> AbortReason | None:
        if self._emulator is not None and not self._emulator.alive:
            message = f"the emulator died during the run: {self._emulator.end_reason()}"
            hint = f"its log is {self.folder / 'emulator.log'}"
            return AbortReason("emulator_died", ExitCode.RUN_INVALID, message, hint)
        if self._options.allow_lost_workers:
            self._go_on_without_lost()
        if complaint := self._watched.complaint():
            hint = "it was killed, crashed or starved; its users are gone, start the run again"
            return AbortReason("worker_lost", ExitCode.RUN_INVALID, complaint, hint)
        errors = self._assembler.errors if self._assembler is not None else {}
        return (
            exhausted(errors)
            or self._nobody_joined(since_begin_s - START_DELAY_S)
            or self._breaker.cause(errors)
        )

    def _go_on_without_lost(self) -> None:
        for number, sentence in self._watched.give_up():
            if self._assembler is not None:
                joined = self._assembler.joined[number]
                self._roster.lose(number, sentence, joined, self._elapsed_s())
                self._assembler.lose(number)

    def _elapsed_s(self) -> float:
        return max((time.time_ns() - self.epoch_ns) / NS_PER_S, 0.0)

    def _nobody_joined(self, elapsed_s: float) -> AbortReason | None:
        """Tell whether everybody has tried and nobody was let in."""
        seen = self._assembler
        if seen is None or seen.joins_succeeded or seen.joins_attempted == 0:
            return None
        refused = refusals(seen.errors)
        failed = refused.total()
        join_end_s = self.plan.phases[0].end_s + self.plan.workload.joins.timeout_s
        if not refused or (failed < self.plan.users and elapsed_s < join_end_s):
            return None
        return nobody_joined(self._endpoints.realtime, refused)

    def abort(self, cause: AbortReason) -> None:
        """End the run before its time; the first cause stays."""
        if self.cause is None:
            self.cause = cause
            tell(ChildError(cause.code, cause.message, cause.hint, cause.exit_code))
            gevent.spawn(self._runner.quit)

    def on_stopped(self, said: str) -> None:
        """End the run that a user class stops, unless it is over anyway."""
        under_way = self._order is not None and self._ended_s is None
        if under_way and self._elapsed_s() < self.plan.total_s - 0.1:
            self.abort(stopped_by_user_class(said))

    def finish(self) -> None:
        """Let workers close and account; called while users still run, before Locust kills them."""
        if self._order is None:
            return
        with self._finishing:  # Asked again, by a signal, it waits until all is there.
            if self._ended_s is None:
                self._ended_s = self._elapsed_s()
                self._runner.send_message(worker_protocol.FINISH, {})
            lost = self.cause is not None and self.cause.code == "worker_lost"
            within_s = FINISH_WITHOUT_ALL_WITHIN_S if lost else FINISH_WITHIN_S
            deadline_s = time.monotonic() + within_s
            while self._watched.awaited and time.monotonic() < deadline_s:
                gevent.sleep(0.05)

    def conclude(self) -> int:
        """Close the record, stop the emulator, make the report; return the exit code.

        Where ``harness`` started this process, with a plan, it makes the report from the record.
        """
        self.finish()
        if self._emulator is not None:
            self._keep_ground_truth()
            self._emulator.stop()
        if self._order is None:
            if self._writer is not None:
                self._writer.discard()
            return int(self.cause.exit_code if self.cause else ExitCode.INTERRUPTED)
        if self.cause is None:
            self.cause = self._cause_of_end()
        if self._assembler is not None:
            self._guarded(self._assembler.flush)
        if self.live is not None:
            self.live.end(self._ended_s or 0.0, self.cause.message if self.cause else None)
        self._write_run(self.cause.status if self.cause else "completed")
        if self._writer is not None:
            self._writer.close()
        self._writer = self._assembler = None
        return self._report()

    def _keep_ground_truth(self) -> None:
        """Put what the emulator itself counted beside what was measured, where it still answers."""
        if self._order is None:
            return
        with contextlib.suppress(OSError):
            truth = json.dumps(EmulatorControls(self._endpoints).ground_truth(), indent=1)
            (self.folder / "emulator.json").write_text(truth, encoding="utf-8")

    def _cause_of_end(self) -> AbortReason | None:
        """Tell why a run that nothing aborted was no whole run; None where it was one."""
        ended_s = self._ended_s or 0.0
        if ended_s < self.plan.total_s - 0.1:
            message = f"interrupted after {ended_s:.0f} s"
            return AbortReason("interrupted", ExitCode.INTERRUPTED, message)
        return self._nobody_joined(math.inf)

    def _write_run(self, status: str) -> None:
        if self._writer is None:
            return
        run = {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "status": status,
            "cause": self.cause.to_json() if self.cause else None,
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
        """Make the report in a process of its own: pandas never loads beside the load."""
        if self._options.plan or (self.cause is not None and self.cause.code == "disk_full"):
            return int(self.cause.exit_code if self.cause else ExitCode.PASS)
        command = [*python_command("harness"), "report", str(self.folder)]
        # A terminal's Ctrl-C reaches it too; there it is blocked, for it is ours to pass on.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            report = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with report:
            try:
                self.report_output, _ = report.communicate()
            except KeyboardInterrupt:
                report.kill()
                raise
        return int(self.cause.exit_code) if self.cause else report.returncode
