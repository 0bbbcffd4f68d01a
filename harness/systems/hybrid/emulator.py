"""The hybrid emulator: an Event API and polls on one port, in the same processes.

What is published to the Event API is also kept for those who poll, as a handler of the service
would store it. Run as a module, this is one of its processes; see ``start``.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import cast

import orjson
from aiohttp import web

from harness.emulation.certificate import server_tls
from harness.emulation.control import Answer, Control
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.starting import emulator_of
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator import process as sockets
from harness.systems.appsync_events.emulator.routes import Routes
from harness.systems.appsync_events.emulator.service import Service, make_files
from harness.systems.hybrid.options import Options
from harness.systems.polling.emulator import service as polls
from harness.systems.polling.emulator.http import HttpConnection, Site

HTTP_PATH = sockets.HTTP_PATH
REALTIME_PATH = sockets.REALTIME_PATH

POLLS_FOLDER = "polling"
"""Where in the common folder the files of the polling half are."""

client_settings = sockets.client_settings
try_it = sockets.try_it


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's processes, to be entered; with TLS, ``ca.pem`` is in their folder."""

    def make_all_files(folder: Path, processes: int) -> None:
        make_files(options, folder, processes)
        (folder / POLLS_FOLDER).mkdir()
        polls.make_files(folder / POLLS_FOLDER, processes)

    return emulator_of(EmulatorProcesses, __name__, options, make_all_files)


class FeedingService(Service):
    """The Event API of one process, which passes on what it broadcasts.

    Args:
        options: How the emulator is set up.
        worker_context: The place of this process among those that make up the emulator.
        store: Keeps it for those who poll.
    """

    def __init__(
        self, options: Options, worker_context: WorkerContext, store: polls.Service
    ) -> None:
        super().__init__(options, worker_context)
        self._store = store

    def broadcast(self, segments: Segments, events: Sequence[str]) -> None:
        """Hand events to the store, and then to all subscribers."""
        for event in events:  # First: writing to thousands of sockets takes its time.
            self._store.publish("/".join(segments), _as_json(event))
        super().broadcast(segments, events)


class JointControl:
    """Answers for both halves: the Event API's counts, and in ``polling`` those of the polls.

    Args:
        sockets: The Event API's.
        polls: Those of the polls.
    """

    def __init__(self, sockets: Control, polls: Control) -> None:
        self.receive = sockets.receive
        self._sockets = sockets
        self._polls = polls

    async def stats(self) -> Answer:
        """Return what all processes have counted."""
        told, of_polls = await asyncio.gather(self._sockets.stats(), self._polls.stats())
        stats, polled = orjson.loads(told.body), orjson.loads(of_polls.body)
        stats["billed"] |= polled.pop("billed")
        stats["polling"] = polled
        return Answer(told.status, orjson.dumps(stats))

    async def log(self) -> Answer:
        """Return what was hit by faults, one by one; first on sockets, then among polls."""
        told, of_polls = await asyncio.gather(self._sockets.log(), self._polls.log())
        entries = [*orjson.loads(told.body), *orjson.loads(of_polls.body)]
        return Answer(HTTPStatus.OK, orjson.dumps(entries))

    async def reset(self) -> Answer:
        """Let both halves begin their counts anew."""
        return _worse(*await asyncio.gather(self._sockets.reset(), self._polls.reset()))

    async def set_faults(self, body: bytes) -> Answer:
        """Let both halves play these faults; each hits its own connections."""
        told = await asyncio.gather(self._sockets.set_faults(body), self._polls.set_faults(body))
        return _worse(*told)


async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
    """Be one process of the emulator until it is told to stop."""
    options = Options.model_validate(worker_context.settings)
    store = polls.Service(
        options, replace(worker_context, folder=worker_context.folder / POLLS_FOLDER)
    )
    service = FeedingService(options, worker_context, store)
    joint = JointControl(service.control, store.control)
    service.control = cast("Control", joint)  # Asked on either half's connections, it says it all.
    routes = Routes(service)
    runner = sockets.runner_of(routes)
    await runner.setup()
    site = Site(store, joint, cast("web.Server", runner.server))
    tls = server_tls(worker_context.folder / "server.pem") if options.tls else None
    server = await asyncio.get_running_loop().create_server(
        partial(HttpConnection, site), sock=worker_context.listener, ssl=tls, backlog=BACKLOG
    )
    clocks = asyncio.create_task(routes.clocks.run())
    parent_pipe.reload = lambda settings: sockets.reload(
        service, worker_context, lambda: Options.model_validate(settings)
    )
    await parent_pipe.serving()
    clocks.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await clocks
    server.close()
    routes.close_connections()
    site.close()
    await runner.cleanup()
    service.close()
    store.close()


def _worse(one: Answer, other: Answer) -> Answer:
    return max(one, other, key=lambda answer: answer.status)


def _as_json(event: str) -> bytes:
    """Return an event as JSON; one that is none becomes a string."""
    try:
        orjson.loads(event)
    except orjson.JSONDecodeError:
        return orjson.dumps(event)
    return event.encode()


if __name__ == "__main__":
    run_worker(serve)
