"""Connect a run to Locust's events: ``harness.load.locustfile`` does, by being imported."""

import signal
import sys
from argparse import Namespace
from functools import cache, partial
from typing import Any, NoReturn

import gevent
from gevent import GreenletExit, get_hub
from gevent.lock import Semaphore
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner
from locust.stats import StatsCSVFileWriter

from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode
from harness.core.outside_text import outside_text
from harness.core.system import system_named
from harness.live.outputs import LiveOutputs, has_outputs
from harness.live.run import LiveRun
from harness.load import worker_protocol
from harness.load.channel import secure_channel
from harness.load.internal_errors import BUG_HINT
from harness.load.master.coordinator import Coordinator
from harness.load.master.worker_registry import NumberedDispatcher, WorkerRegistry
from harness.load.options import add_arguments, locust_users, worker_count
from harness.load.preflight import PreparedRun, on_options, prepare, print_message, report_failure
from harness.load.process import (
    StopReason,
    ignore_interrupt_follow_parent,
    is_called_by_user,
    on_interrupt,
    raise_open_files_limit,
    report_bug,
    report_lost_master,
    return_freed_memory,
)
from harness.load.run_secret import RUN_SECRET
from harness.load.schedule import Schedule
from harness.load.user_classes import (
    classes_to_run,
    classify,
    fingerprint,
    own_locustfile,
    plan_with_counts,
    require_hosts,
    require_tasks,
    stop_own_code,
)
from harness.load.users import FanOutUser, systems_of
from harness.load.worker.clock_sync import ClockSync
from harness.load.worker.locust_table import LocustTable, let_csv_writer_end
from harness.load.worker.worker import Worker, access_of
from harness.load.worker_protocol import RunAssignment
from harness.net.client import ApiFactory


@cache
def install() -> None:
    """Make Locust run workloads; a second call, as by a second locustfile, does nothing."""
    let_csv_writer_end(StatsCSVFileWriter)
    secure_channel()
    plugin = _Plugin()
    events.init_command_line_parser.add_listener(plugin.on_parser)
    events.init.add_listener(plugin.on_init)
    events.test_start.add_listener(plugin.on_test_start)
    events.test_stopping.add_listener(plugin.on_test_stopping)
    events.test_stop.add_listener(plugin.on_test_stop)
    events.quit.add_listener(plugin.on_quit)


class _Plugin:
    """The process's role: coordinator in a master, worker in a worker, both in a local run."""

    def __init__(self) -> None:
        self._prepared: PreparedRun | None = None
        self._coordinator: Coordinator | None = None
        self._worker: Worker | None = None
        self._clock_sync = ClockSync.local()
        self._quitting = False
        self._interrupted = False
        self._stop_reason = StopReason()
        self._outputs: LiveOutputs | None = None
        self._concluding = Semaphore()
        self._exit_code: int | None = None

    def on_parser(self, parser: LocustArgumentParser, **_: Any) -> None:
        add_arguments(parser)
        on_options(parser, self._prepare)

    def _prepare(self, options: Namespace) -> None:
        """Make the plan, once; Locust reads its options again for its web page."""
        self._prepared = self._prepared or prepare(options)
        if options.processes:  # Locust forks its workers now; only they can know this secret.
            RUN_SECRET.make()

    def on_init(self, environment: Environment, **_: Any) -> None:
        runner: Any = environment.runner
        # Here, not in ``install``: the last listener runs first, before Locust's own shutdown.
        environment.events.quitting.add_listener(self.on_quitting)
        if isinstance(runner, WorkerRunner):
            ignore_interrupt_follow_parent(runner, environment.parsed_options)
            try:
                _replace_user_classes(environment)
            except HarnessError as error:
                report_failure(error)
                self._abort_start(environment, error.exit_code)
            self._register(runner)
        else:
            self._start_master(environment)
        if isinstance(runner, WorkerRunner | LocalRunner):
            runner.register_message(worker_protocol.FINISH, self._on_finish, concurrent=True)

    def _register(self, runner: WorkerRunner) -> None:
        """Register this worker with the master and measure its offset to the run clock."""
        environment: Any = runner.environment
        self._clock_sync = clock_sync = ClockSync(
            runner.send_message,
            systems_of(environment.user_classes),
            fingerprint(environment.available_user_classes),
            own_locustfile(environment.parsed_options.locustfile),
        )

        def registered(msg: Any, **_: Any) -> None:
            if refused := msg.data.get("refused"):
                print_message(f"error: {refused}")
                runner.environment.process_exit_code = int(ExitCode.BAD_USAGE)
                runner.quit()
            else:
                clock_sync.registered(**msg.data)

        def fail(sentence: str) -> None:
            print_message(f"error: worker: {sentence}\nhint: {BUG_HINT}")
            environment.process_exit_code = int(ExitCode.INTERNAL_ERROR)
            gevent.spawn(runner.quit)

        runner.register_message(worker_protocol.REGISTERED, registered)
        runner.register_message(
            worker_protocol.CLOCK_REPLY, lambda msg, **_: clock_sync.replied(**msg.data)
        )
        clock_sync.start(fail)

    def _registry(self, environment: Environment, system: str) -> WorkerRegistry:
        """Accept registrations of workers from now on."""
        runner: Any = environment.runner
        options: Any = environment.parsed_options
        registry = WorkerRegistry(
            runner.send_message,
            measure_clocks=options.measure_clocks,
            system=system,
            users=fingerprint(environment.available_user_classes),
            locustfile=own_locustfile(options.locustfile),
        )
        listeners = {
            worker_protocol.REGISTER: lambda msg, **_: registry.register(msg.node_id, msg.data),
            worker_protocol.CLOCK_REQUEST: lambda msg, **_: registry.answer_clock(
                msg.node_id, **msg.data
            ),
            worker_protocol.READY: lambda msg, **_: registry.ready(msg.node_id),
        }
        for kind, listener in listeners.items():
            runner.register_message(kind, listener)
        return registry

    def _start_master(self, environment: Environment) -> None:
        options: Any = environment.parsed_options
        on_interrupt(self._interrupt)
        try:
            assert self._prepared is not None  # noqa: S101  the options have been read
            _replace_user_classes(environment)
            self._prepared = self._planned(environment, self._prepared)
            system = self._prepared.plan.target.system
            system_named(system).load(
                "client"
            )  # Raises before anything is started if the package is missing.
            registry = self._registry(environment, system)
            self._coordinator = Coordinator(environment, options, registry, self._prepared)
            self._start_outputs(environment, self._coordinator)
            self._coordinator.await_workers()
        except HarnessError as error:
            report_failure(error)
            self._abort_start(environment, error.exit_code)
        except KeyboardInterrupt:
            self._abort_start(environment, ExitCode.INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - Locust would go on without us
            self._abort_start(environment, report_bug(error))
        coordinator = self._coordinator

        def make_dispatcher(**kwargs: Any) -> NumberedDispatcher:
            count = worker_count(options)
            return NumberedDispatcher(workers=count, on_workers=coordinator.workers_known, **kwargs)

        environment.dispatcher_class = make_dispatcher  # type: ignore[assignment]  # only called
        runner: Any = environment.runner
        listeners = {
            worker_protocol.SECOND: lambda msg, **_: coordinator.on_second(msg.data),
            worker_protocol.CONNECTIONS: lambda msg, **_: coordinator.on_connections(**msg.data),
            worker_protocol.FAILED: lambda msg, **_: coordinator.on_failed(**msg.data),
            worker_protocol.STOPPED: lambda msg, **_: coordinator.on_stopped(**msg.data),
            worker_protocol.DONE: lambda msg, **_: coordinator.on_done(**msg.data),
        }
        for kind, listener in listeners.items():
            runner.register_message(kind, listener)

    def _planned(self, environment: Environment, prepared: PreparedRun) -> PreparedRun:
        """Fix the number of users of each class, and return the plan with these numbers."""
        options: Any = environment.parsed_options
        where, workers = str(options.locustfile), worker_count(options)
        classes = classify(environment.user_classes, where)
        plan = plan_with_counts(prepared.plan, classes, options.user_classes or ())
        require_hosts(plan, classes, options.host)
        for one in environment.user_classes:
            kind = one.user_class if issubclass(one, FanOutUser) else one.__name__
            one.fixed_count = locust_users(plan, kind, workers)
        require_tasks(classes.others.values(), options, where)
        environment.user_classes = [one for one in environment.user_classes if one.fixed_count]
        return prepared._replace(plan=plan)

    def _start_outputs(self, environment: Environment, coordinator: Coordinator) -> None:
        """Start the live account, if an SLO needs it, and the outputs that the options ask for."""
        options: Any = environment.parsed_options
        wanted = has_outputs(environment, options)
        if wanted or any(slo.abort for slo in coordinator.plan.workload.slos):
            schedule = Schedule(coordinator.plan)
            coordinator.live = LiveRun(coordinator.plan, schedule.intended_s, schedule.channel)
        if wanted and coordinator.live is not None:
            self._outputs = LiveOutputs(environment, options, coordinator.live, coordinator.folder)
            if self._outputs.link:
                print_message(f"live page: {self._outputs.link}")

    def _abort_start(self, environment: Environment, exit_code: int) -> NoReturn:
        """End a run that never began, and dismiss the registered workers."""
        if self._coordinator is not None:
            self._coordinator.conclude()
            environment.runner.quit()  # type: ignore[union-attr]  # there is one after init
        sys.exit(exit_code)

    def on_test_start(self, environment: Environment, **_: Any) -> None:
        runner: Any = environment.runner
        options: Any = environment.parsed_options
        if self._coordinator is not None:
            self._coordinator.begin()
            if self._coordinator.abort_reason is not None:
                return
        if isinstance(runner, MasterRunner):
            return
        assignment = RunAssignment.from_json(options.harness_assignment)
        number = 0 if self._coordinator is not None else assignment.workers.index(runner.client_id)
        raise_open_files_limit()
        return_freed_memory()
        try:
            make_api: ApiFactory = system_named(assignment.plan.target.system).load("client")
            api = make_api(access_of(assignment, number))
            table = LocustTable(environment)
            stop = partial(stop_own_code, runner)
            send = runner.send_message
            self._worker = Worker(assignment, number, api, send, table, self._clock_sync, stop)
        except Exception as error:
            exit_code = error.exit_code if isinstance(error, HarnessError) else 1
            text = str(error) if isinstance(error, HarnessError) else outside_text(str(error))
            failure = {"worker": number, "message": text, "exit_code": int(exit_code)}
            runner.send_message(worker_protocol.FAILED, failure)
            raise
        FanOutUser.population = self._worker.population
        environment.events.request.add_listener(self._worker.requests.on_request)
        environment.events.user_error.add_listener(self._worker.requests.on_user_error)
        self._worker.start()

    def _on_finish(self, **_: Any) -> None:
        if self._worker is not None:
            self._worker.finish()

    def on_test_stopping(self, environment: Environment, **_: Any) -> None:
        # Only the stop button of Locust's page ends a run by hand through this event.
        by_user = is_called_by_user(environment.runner)  # type: ignore[arg-type]  # there is one
        by_hand = environment.web_ui is not None and not (by_user or self._stop_reason.message)
        if not (by_hand or self._interrupted or self._quitting):
            self._stopped_from_within(environment)
        if by_user:
            raise GreenletExit  # It would wait forever for its own end.
        if self._coordinator is not None:
            self._coordinator.finish()

    def _stopped_from_within(self, environment: Environment) -> None:
        """Report a stop that came neither from a signal nor from the timetable."""
        message = outside_text(str(self._stop_reason))
        if self._coordinator is not None:
            self._coordinator.on_stopped(message)
        elif self._worker is not None and not self._worker.context.over:
            runner: Any = environment.runner
            runner.send_message(worker_protocol.STOPPED, {"message": message})

    def on_test_stop(self, environment: Environment, **_: Any) -> None:
        """Conclude a run that Locust's page, or the timetable, has ended; the page stays."""
        if self._coordinator is not None and environment.web_ui is not None and not self._quitting:
            gevent.spawn(self._conclude_beside_page, environment)

    def _conclude_beside_page(self, environment: Environment) -> None:
        options: Any = environment.parsed_options
        self._conclude()
        if options.autoquit == -1:
            print_message("the run is over; its page stays until Ctrl-C")
            return
        gevent.sleep(options.autoquit)
        if environment.web_ui is not None:
            environment.web_ui.stop()

    def _conclude(self) -> int:
        """Conclude the run once; a concurrent call waits for the first."""
        with self._concluding:
            if self._exit_code is None and self._coordinator is not None:
                self._exit_code = self._concluded(self._coordinator)
            return self._exit_code or 0

    def _concluded(self, coordinator: Coordinator) -> int:
        """Conclude the run; Locust would take an exception for bad usage."""
        try:
            exit_code = coordinator.conclude()
            if self._outputs is not None:
                self._outputs.concluded(exit_code)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no verdict
            return report_bug(error)
        return exit_code

    def on_quitting(self, environment: Environment, **_: Any) -> None:
        again, self._quitting = self._quitting, True
        try:
            if again:
                get_hub().switch()  # Locust shuts down twice after SIGTERM; the first will exit.
            if self._coordinator is None:
                self._on_finish()  # Whatever ended this worker, it still sends its records.
                report_lost_master(environment)
                return
            environment.process_exit_code = self._conclude()
        except KeyboardInterrupt:  # A second Ctrl-C: end immediately and leave the record as it is.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            environment.process_exit_code = int(ExitCode.INTERRUPTED)

    def _interrupt(self) -> None:
        """Interrupt Locust's main greenlet; Python would interrupt the one that happens to run."""
        if not self._interrupted and self._exit_code is None:
            print_message("stopping in order; a second Ctrl-C stops at once")
        self._interrupted = True
        hub = get_hub()
        hub.loop.run_callback(hub.parent.throw, KeyboardInterrupt)

    def on_quit(self, **_: Any) -> None:
        if self._coordinator is not None and self._coordinator.report_output:
            print(self._coordinator.report_output, end="", flush=True)  # noqa: T201  the result


def _replace_user_classes(environment: Environment) -> None:
    """Replace the user classes that Locust found by those to run, with delayed starts."""
    options: Any = environment.parsed_options
    where = str(options.locustfile)
    environment.user_classes = classes_to_run(environment.user_classes, options, where)
    environment._filter_tasks_by_tags()  # noqa: SLF001  Locust would, later; it does so once
