"""The emulator of a service of server-sent events: its processes, and how to start it.

Run as a module, this is one of its processes; see ``start``.
"""

import asyncio
import contextlib
import socket
from pathlib import Path
from types import TracebackType

from aiohttp import web

from harness.emulation.certificate import server_tls
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.starting import emulator_of
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker
from harness.systems.server_sent_events.emulator.routes import PUBLISH_PATH, STREAM_PATH, Routes
from harness.systems.server_sent_events.emulator.service import DOOR_FILE, Service, make_files
from harness.systems.server_sent_events.emulator.settings import try_it
from harness.systems.server_sent_events.options import Options

__all__ = ["HTTP_PATH", "REALTIME_PATH", "serve", "start", "try_it"]

HTTP_PATH = PUBLISH_PATH
REALTIME_PATH = STREAM_PATH


class BehindOneDoor(EmulatorProcesses):
    """The processes of an emulator that has servers: their streams have a port of their own.

    The socket that listens there is the parent's, and every process accepts from it.
    """

    def open_door(self, host: str, accept_queue: int, folder: Path) -> None:
        """Listen on a free port, and tell the processes which descriptor to accept from."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._door = socket.create_server((host, 0), family=family, backlog=accept_queue)
        self.realtime_port = self._door.getsockname()[1]
        self.inherited = (self._door.fileno(),)
        (folder / DOOR_FILE).write_text(str(self._door.fileno()), "ascii")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if self.realtime_port is not None:
            self._door.close()


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""

    def make_folder(folder: Path, count: int) -> None:
        make_files(options, folder, count)
        if options.servers is not None:
            processes.open_door(options.host, options.servers.accept_queue, folder)

    processes = emulator_of(BehindOneDoor, __name__, options, make_folder)
    return processes


async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = Options.model_validate(worker_context.settings)
    service = Service(options, worker_context)
    routes = Routes(service)
    tls = server_tls(worker_context.folder / "server.pem") if options.tls else None
    runner = routes.runner()
    await runner.setup()
    await web.SockSite(runner, worker_context.listener, ssl_context=tls, backlog=BACKLOG).start()
    tasks = [asyncio.create_task(routes.heartbeats.run())]
    if service.fleet is not None:
        tasks.append(asyncio.create_task(service.fleet.run(routes.runner, tls)))
    await parent_pipe.serving()
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    routes.close_connections()
    if service.fleet is not None:
        await service.fleet.close()
    await runner.cleanup()
    service.close()


if __name__ == "__main__":
    run_worker(serve)
