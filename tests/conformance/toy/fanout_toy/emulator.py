"""The toy system's emulator: one process, made of what all emulators share."""

import asyncio
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from harness.emulation.certificate import server_tls
from harness.emulation.connection_writer import Batch, Connection, ConnectionWriter, end_connection
from harness.emulation.control import Answer, Control, GroundTruth
from harness.emulation.counters import OWED, SHARED_COUNTS, Counters
from harness.emulation.deliveries import Deliveries, Frame, Subscription
from harness.emulation.faults import Faults
from harness.emulation.processes import BACKLOG, EmulatorProcesses
from harness.emulation.scheduler import Scheduler
from harness.emulation.starting import emulator_of
from harness.emulation.websocket_frames import close_frame, text_frame
from harness.emulation.worker import ParentPipe, WorkerContext, run_worker
from harness.scenario.emulator import FAULTS_PATH, LOG_PATH, RESET_PATH, STATS_PATH

from . import wire
from .options import Options

HTTP_PATH = wire.HTTP_PATH
REALTIME_PATH = wire.REALTIME_PATH

COUNTS = (*SHARED_COUNTS, "publishes.accepted")


def start(options: Options) -> EmulatorProcesses:
    """Return the emulator's only process, to be entered."""

    def make_files(folder: Path, processes: int) -> None:
        Counters.make_table(folder / "counters", processes, len(COUNTS))

    one = options.model_copy(update={"processes": 1})
    return emulator_of(EmulatorProcesses, __name__, one, make_files)


class Service:
    """The process: who listens to what, and what goes wrong."""

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        self._key = options.key
        self._groups: dict[str, dict[Connection, Subscription]] = {}
        self._events = 0
        scheduler = Scheduler()
        self.counters = Counters(worker_context.folder / "counters", 0, COUNTS)
        self.writer = ConnectionWriter(self.counters, options.subscriber_buffer_bytes)
        self.faults = Faults(
            self.writer, scheduler, self.counters, worker_context.folder, seed=options.seed
        )
        self._deliveries = Deliveries(self.writer, self.faults, scheduler)
        ground = GroundTruth(self.counters, self._deliveries, self.faults)
        self.control = Control(ground, worker_context.folder, 0, 1, lambda _: None)
        self.faults.play(options.faults, worker_context.started_s, "options")

    def application(self) -> web.Application:
        """Return the routes."""

        async def control(request: web.Request) -> web.Response:
            return await self._control(request)

        application = web.Application()
        add = application.router.add_route
        add("GET", wire.REALTIME_PATH, self._realtime)
        add("POST", wire.HTTP_PATH, self._post)
        for path in (STATS_PATH, LOG_PATH, FAULTS_PATH, RESET_PATH):
            add("*", path, control)
        return application

    async def _control(self, request: web.Request) -> web.Response:
        answer: Answer
        if request.path == FAULTS_PATH:
            answer = await self.control.set_faults(await request.read())
        elif request.path == LOG_PATH:
            answer = await self.control.log()
        elif request.path == RESET_PATH:
            answer = await self.control.reset()
        else:
            answer = await self.control.stats()
        return web.Response(body=answer.body, status=answer.status, content_type="application/json")

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        outcome, transport = self.faults.on_connect(), request.transport
        await asyncio.sleep(outcome.delay_s)
        if transport is None or (outcome.refused and outcome.status is None):
            if transport is not None:
                end_connection(transport, None)
            raise web.HTTPBadGateway
        if outcome.refused:
            return web.Response(status=outcome.status or HTTPStatus.BAD_GATEWAY)
        if outcome.throttled:
            raise web.HTTPTooManyRequests
        if self._is_stranger(request):
            raise web.HTTPUnauthorized
        websocket = web.WebSocketResponse(protocols=[wire.SUBPROTOCOL], compress=False)
        await websocket.prepare(request)
        connection = self.writer.add(transport)
        joined: list[str] = []
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    self._take(connection, orjson.loads(message.data), joined)
        finally:
            for channel in joined:
                self._deliveries.unsubscribe(self._groups[channel].pop(connection))
            self.writer.remove(connection)
        return websocket

    def _is_stranger(self, request: web.Request) -> bool:
        shown = request.query.get(wire.KEY_PARAMETER)
        return self.faults.on_credentials() or shown != self._key

    def _take(self, connection: Connection, asked: dict[str, Any], joined: list[str]) -> None:
        if "join" in asked:
            channel = asked["join"]
            self._groups.setdefault(channel, {})[connection] = self._deliveries.subscribe(
                connection
            )
            joined.append(channel)
            connection.reply(text_frame(wire.message(joined=channel)))
            return
        refused = self._publish(asked["channel"], asked["events"])
        connection.reply(text_frame(wire.message(published=asked["publish"], refused=refused)))

    async def _post(self, request: web.Request) -> web.Response:
        if self._is_stranger(request):
            return web.Response(text="unauthorized", status=HTTPStatus.UNAUTHORIZED)
        asked = orjson.loads(await request.read())
        return web.Response(text=self._publish(asked["channel"], asked["events"]))

    def _publish(self, channel: str, events: list[str]) -> str:
        """Fan events out; return why not, or nothing."""
        if self.faults.on_publish():
            return "throttled"
        self.counters.add("publishes.accepted")
        group = self._groups.get(channel, {})
        for event in events:
            self._fan_out(group, event)
        return ""

    def _fan_out(self, group: dict[Connection, Subscription], event: str) -> None:
        number, listeners = self._events, len(group)
        self._events += 1
        batch = Batch(text_frame(wire.message(event=event)), deliveries=1, steps=1)
        if self._deliveries.all_pass(range(number, number + 1), listeners, listeners):
            self.counters.add(OWED, listeners)
            for connection in list(group):
                connection.deliver(batch)
            return
        frame = Frame(number, batch, orjson.dumps(event))
        for subscription in list(group.values()):
            self._deliveries.send(subscription, [frame], time.monotonic())


async def serve(worker_context: WorkerContext, parent_pipe: ParentPipe) -> None:
    """Be the emulator until it is told to stop."""
    options = Options.model_validate(worker_context.settings)
    service = Service(options, worker_context)
    runner = web.AppRunner(
        service.application(), access_log=None, handle_signals=False, shutdown_timeout=0.2
    )
    await runner.setup()
    tls = server_tls(worker_context.folder / "server.pem") if options.tls else None
    await web.SockSite(runner, worker_context.listener, ssl_context=tls, backlog=BACKLOG).start()
    await parent_pipe.serving()
    for connection in list(service.writer.open):
        end_connection(connection.transport, close_frame())
    await runner.cleanup()
    service.faults.close()


if __name__ == "__main__":
    run_worker(serve)
