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
from harness.emulation.worker import Lifeline, Seat, run_worker
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.emulator_routes import Routes
from harness.systems.appsync_events.emulator_service import Service, make_files
from harness.systems.appsync_events.emulator_settings import client_settings, try_it
from harness.systems.appsync_events.options import Options

__all__ = ["HTTP_PATH", "REALTIME_PATH", "client_settings", "serve", "start", "try_it"]

HTTP_PATH = wire.HTTP_PATH
REALTIME_PATH = wire.REALTIME_PATH

STOP_GRACE_S = 0.2


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""
    return emulator_of(EmulatorProcesses, __name__, options, partial(make_files, options))


async def serve(seat: Seat, lifeline: Lifeline) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = Options.model_validate(seat.settings)
    service = Service(options, seat)
    routes = Routes(service)
    runner = runner_of(routes)
    await runner.setup()
    tls = server_tls(seat.folder / "server.pem") if options.tls else None
    await web.SockSite(runner, seat.listener, ssl_context=tls, backlog=BACKLOG).start()
    clocks = asyncio.create_task(routes.clocks.run())
    lifeline.reload = lambda settings: reload(
        service, seat, lambda: Options.model_validate(settings)
    )
    await lifeline.serving()
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


def reload(service: Service, seat: Seat, read: Callable[[], Options]) -> None:
    """Take what can be taken of new settings; the first process tells how it went.

    Args:
        service: What all connections share.
        seat: The place of this process.
        read: Returns the new settings; raises HarnessError.
    """
    try:
        service.use(read())
        told = "reloaded"
    except HarnessError as error:
        told = f"error: {error}\nnot reloaded, the old settings stay"
    if seat.index == 0:
        sys.stderr.write(f"{told}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    run_worker(serve)
