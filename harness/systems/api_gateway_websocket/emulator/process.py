"""The API Gateway WebSocket emulator: its processes, and how to start it.

Run as a module, this is one of its processes; see ``start``.
"""

import asyncio
import contextlib

from aiohttp import web

from harness.emulation.certificate import server_tls
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.starting import emulator_of
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker
from harness.systems.api_gateway_websocket import wire
from harness.systems.api_gateway_websocket.emulator.routes import Routes
from harness.systems.api_gateway_websocket.emulator.service import Service, make_files
from harness.systems.api_gateway_websocket.emulator.settings import client_settings, try_it
from harness.systems.api_gateway_websocket.options import Options

__all__ = ["HTTP_PATH", "REALTIME_PATH", "client_settings", "serve", "start", "try_it"]

HTTP_PATH = REALTIME_PATH = wire.STAGE_PATH
"""The WebSocket address, and the base of the ``@connections`` API."""

STOP_GRACE_S = 0.2


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""
    return emulator_of(EmulatorProcesses, __name__, options, make_files)


async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = Options.model_validate(worker_context.settings)
    service = Service(options, worker_context)
    routes = Routes(service)
    runner = web.AppRunner(
        routes.application(),
        access_log=None,
        auto_decompress=False,  # What is posted is passed on as it came.
        handle_signals=False,
        shutdown_timeout=STOP_GRACE_S,
        tcp_keepalive=False,
    )
    await runner.setup()
    tls = server_tls(worker_context.folder / "server.pem") if options.tls else None
    await web.SockSite(runner, worker_context.listener, ssl_context=tls, backlog=BACKLOG).start()
    clocks = asyncio.create_task(routes.clocks.run())
    await parent_pipe.serving()
    clocks.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await clocks
    routes.close_connections()
    await runner.cleanup()
    service.close()


if __name__ == "__main__":
    run_worker(serve)
