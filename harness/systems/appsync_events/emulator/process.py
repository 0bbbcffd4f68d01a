"""The AppSync Events emulator: its processes, and how to start it.

Run as a module, this is one of its processes; see ``start``.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from functools import partial

from aiohttp import web

from harness.core.errors import HarnessError
from harness.emulation.certificate import server_tls
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.starting import emulator_of
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator.routes import Routes
from harness.systems.appsync_events.emulator.service import Service, make_files
from harness.systems.appsync_events.emulator.settings import client_settings, try_it
from harness.systems.appsync_events.options import Options

__all__ = ["HTTP_PATH", "REALTIME_PATH", "client_settings", "serve", "start", "try_it"]

HTTP_PATH = wire.HTTP_PATH
REALTIME_PATH = wire.REALTIME_PATH

STOP_GRACE_S = 0.2


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""
    return emulator_of(EmulatorProcesses, __name__, options, partial(make_files, options))


async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = Options.model_validate(worker_context.settings)
    service = Service(options, worker_context)
    routes = Routes(service)
    runner = runner_of(routes)
    await runner.setup()
    tls = server_tls(worker_context.folder / "server.pem") if options.tls else None
    await web.SockSite(runner, worker_context.listener, ssl_context=tls, backlog=BACKLOG).start()
    clocks = asyncio.create_task(routes.clocks.run())
    parent_pipe.reload = lambda settings: reload(
        service, worker_context, lambda: Options.model_validate(settings)
    )
    await parent_pipe.serving()
    clocks.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await clocks
    routes.close_connections()
    await runner.cleanup()
    service.close()


def runner_of(routes: Routes) -> web.AppRunner:
    """Return what runs the routes, not yet set up."""
    return web.AppRunner(
        routes.application(),
        access_log=None,
        # What a client compresses, the service does not unpack.
        auto_decompress=False,
        handle_signals=False,
        shutdown_timeout=STOP_GRACE_S,
        tcp_keepalive=False,
    )


def reload(service: Service, worker_context: WorkerContext, read: Callable[[], Options]) -> None:
    """Take what can be taken of new settings; the first process tells how it went.

    Args:
        service: What all connections share.
        worker_context: The place of this process.
        read: Returns the new settings; raises HarnessError.
    """
    try:
        service.use(read())
        told = "reloaded"
    except HarnessError as error:
        told = f"error: {error}\nnot reloaded, the old settings stay"
    if worker_context.index == 0:
        sys.stderr.write(f"{told}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    run_worker(serve)
