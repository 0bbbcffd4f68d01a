"""The emulated service: what every emulator is made of and how its processes start, serve and stop.

A system's emulator is a subclass of ``EmulatedService`` that adds only what is its own: paths,
options, counts and routes. Its ``System`` names the class. The parent starts its processes, each of
which makes one instance.
"""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from aiohttp import web

from harness.core.child_python import python_command
from harness.core.errors import HarnessError
from harness.emulation.bus import Bus, Parts
from harness.emulation.certificate import SERVER_FILE, provide_certificate, server_tls
from harness.emulation.connection_writer import ConnectionWriter
from harness.emulation.control import MARK, Control, add_control_routes, log_bugs
from harness.emulation.counters import SHARED_COUNTS, Counters
from harness.emulation.deliveries import Deliveries
from harness.emulation.faults import Faults
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.scheduler import Scheduler
from harness.emulation.websocket_frames import MALFORMED_FRAMES, NORMAL_CLOSURE
from harness.emulation.worker import ParentPipe, WorkerContext
from harness.scenario.emulator import Emulator

STOP_GRACE_S = 0.2

OptionsT = TypeVar("OptionsT", bound=Emulator)

Protocols = Callable[[], asyncio.BaseProtocol]


class EmulatedService(Generic[OptionsT]):
    """One process of an emulator; made inside the running event loop.

    Attributes:
        HTTP_PATH: Path of the address for publishing over HTTP.
        REALTIME_PATH: Path of the address that subscribers connect to.
        OPTIONS: Model of the options.
        COUNTS: What is counted, ``SHARED_COUNTS`` among it.
        MALFORMED_FRAMES: A frame of each form that the fault ``malformed`` knows.
        counters: Row of ``COUNTS`` of this process.
        control: Answers what the emulator did.
    """

    HTTP_PATH: ClassVar[str]
    REALTIME_PATH: ClassVar[str]
    OPTIONS: ClassVar[type[Any]] = Emulator
    COUNTS: ClassVar[tuple[str, ...]] = SHARED_COUNTS
    MALFORMED_FRAMES: ClassVar[Mapping[str, bytes]] = MALFORMED_FRAMES
    WRITER: ClassVar[type[ConnectionWriter]] = ConnectionWriter

    def __init__(self, options: OptionsT, worker_context: WorkerContext) -> None:
        self.options = options
        self.worker_context = worker_context
        self.scheduler = Scheduler()
        self.counters = Counters(worker_context, self.COUNTS)
        self.writer = self.WRITER(worker_context, self.counters, options.subscriber_buffer_bytes)
        self.faults = Faults(worker_context, self.writer, self.scheduler, options.seed)
        self.deliveries = Deliveries(
            worker_context, self.writer, self.faults, self.scheduler, self.MALFORMED_FRAMES
        )
        self.bus = Bus(worker_context, self._receive)
        self.control = Control(self)
        self.faults.play(options.faults, worker_context.started_s, "options")

    @classmethod
    def start(cls, options: OptionsT) -> EmulatorProcesses:
        """Return the processes, to be entered; with TLS, ``ca.pem`` is in their folder."""
        processes = options.processes or 1

        def prepare(folder: Path) -> None:
            cls.make_files(options, folder, processes)
            if options.tls:
                provide_certificate(folder, options.host, options.certificate_folder)

        return EmulatorProcesses(
            command=[*python_command("harness.emulation"), f"{cls.__module__}:{cls.__qualname__}"],
            settings=options.model_dump(mode="json"),
            processes=processes,
            host=options.host,
            port=options.port,
            prepare=prepare,
            accept_queue=cls.accept_queue(options),
        )

    @classmethod
    def make_files(cls, options: OptionsT, folder: Path, processes: int) -> None:
        """Write what the processes share before they start; nothing by default."""

    @classmethod
    def accept_queue(cls, options: OptionsT) -> int | None:  # noqa: ARG003 - see above
        """Return the accept queue of a realtime port of its own, which all processes accept from.

        None where subscribers connect to the common port.
        """
        return None

    @classmethod
    def of(cls, worker_context: WorkerContext) -> Self:
        """Return the instance of a process, with the options its parent sent."""
        return cls(cls.OPTIONS.model_validate(worker_context.settings), worker_context)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """TLS settings of its ports; None where they are not encrypted."""
        return server_tls(self.worker_context.folder / SERVER_FILE) if self.options.tls else None

    async def serve(self, parent_pipe: ParentPipe) -> None:
        """Serve until the parent stops this process."""
        context, runner = self.worker_context, self.runner()
        await runner.setup()
        protocols = cast("Protocols", runner.server)  # It has one once it is set up.
        server = await asyncio.get_running_loop().create_server(
            self.protocols(protocols),
            sock=cast("socket.socket", context.listener),
            ssl=self.tls,
            backlog=BACKLOG,
        )
        tasks = [asyncio.create_task(task) for task in self.background()]
        if self.OPTIONS.RELOADABLE:
            parent_pipe.reload = self._reload
        await parent_pipe.serving()
        server.close()
        for task in tasks:
            task.cancel()
        self.close_connections()  # Before a task runs again, and ends what this still writes to.
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await runner.cleanup()
        self.close()

    def runner(self) -> web.AppRunner:
        """Return what serves the application, not yet set up."""
        return web.AppRunner(
            self.application(),
            access_log=None,
            # The body of a publish is passed on as received.
            auto_decompress=False,
            handle_signals=False,
            shutdown_timeout=STOP_GRACE_S,
            tcp_keepalive=False,
        )

    def application(self) -> web.Application:
        """Return the application to serve, with the control paths alone."""
        application = web.Application(middlewares=[log_bugs()])
        add_control_routes(application.router.add_route, self.control)
        return application

    def protocols(self, application: Protocols) -> Protocols:
        """Return what makes the protocol of each connection: by default that of the application."""
        return application

    def background(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Return what runs beside the connections until the emulator stops."""
        return ()

    @property
    def stop_code(self) -> int:
        """Close code of connections when the emulator stops."""
        return NORMAL_CLOSURE

    def _receive(self, parts: Parts) -> None:
        if parts[0] == MARK:
            self.control.receive(parts)
        else:
            self.receive(parts)

    def receive(self, parts: Parts) -> None:
        """Handle a message that another process published on the bus."""

    def refresh(self) -> None:
        """Bring counts up to now, before they are read."""

    def reset(self) -> None:
        """Begin anew what is kept besides the counts."""

    def report(self, totals: Mapping[str, int]) -> Mapping[str, Any]:  # noqa: ARG002 - for systems that report more
        """Return further tables of the statistics, from the sums of the counts."""
        return {}

    def use(self, options: OptionsT) -> None:
        """Apply the options that a running emulator can change; raises HarnessError."""

    def _reload(self, settings: Mapping[str, Any]) -> None:
        """Apply new settings; the first process reports the result."""
        try:
            self.use(self.OPTIONS.model_validate(settings))
            result = "reloaded"
        except HarnessError as error:
            result = f"error: {error}\nnot reloaded, the previous settings stay in effect"
        if self.worker_context.index == 0:
            sys.stderr.write(f"{result}\n")
            sys.stderr.flush()

    def close_connections(self) -> None:
        """Close every connection without waiting for its client."""
        self.writer.close_all(self.stop_code)

    def close(self) -> None:
        """End the faults and leave the bus."""
        self.faults.close()
        self.bus.close()
