"""The emulator of a service of server-sent events."""

from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.emulation.worker import WorkerContext
from harness.systems.server_sent_events.emulator.routes import PUBLISH_PATH, STREAM_PATH, Routes
from harness.systems.server_sent_events.emulator.service import Service
from harness.systems.server_sent_events.options import Options


class ServerSentEventsEmulator(Service):
    """One process of the emulator."""

    HTTP_PATH = PUBLISH_PATH
    REALTIME_PATH = STREAM_PATH

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        self._routes = Routes(self)

    def runner(self) -> web.AppRunner:
        """Return what serves the emulator's own port."""
        return self._routes.runner()

    def background(self) -> Iterable[Coroutine[Any, Any, object]]:
        """Return the heartbeats, and the servers."""
        yield self._routes.heartbeats.run()
        if self.fleet is not None:
            yield self.fleet.run(self._routes.runner, self.tls)

    @staticmethod
    def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that publishes one event to a running emulator."""
        trust = f" --cacert {ca_file}" if ca_file else ""
        token = f" -H 'Authorization: Bearer {api_key}'" if api_key else ""
        return f"curl{trust}{token} -d hello {http_url.replace('{channel}', 'default/room-0')}"
