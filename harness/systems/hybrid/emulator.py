"""The hybrid emulator: an Event API and polls on one port, in the same processes.

What is published to the Event API is also kept for those who poll, as a handler of the service
would store it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus

import orjson

from harness.core.message_token import as_json
from harness.emulation.control import Answer, Control
from harness.emulation.emulated_service import Protocols
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events.channels import Segments
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.hybrid.options import Options
from harness.systems.polling.emulator.process import HttpConnection, PollingEmulator, Site

POLLS_FOLDER = "polling"
"""Where in the common folder the files of the polling half are."""


class HybridEmulator(AppSyncEventsEmulator):
    """One process of the emulator: the Event API, which passes on what it broadcasts."""

    OPTIONS = Options

    def __init__(self, options: Options, worker_context: WorkerContext) -> None:
        super().__init__(options, worker_context)
        folder = worker_context.folder / POLLS_FOLDER
        folder.mkdir(exist_ok=True)
        self._polls = PollingEmulator(options, replace(worker_context, folder=folder))
        # It answers for both halves, on connections of either.
        self.control = JointControl(self, self._polls.control)

    def protocols(self, application: Protocols) -> Protocols:
        """Return what makes the protocol of each connection; all but polls is the Event API's."""
        return partial(HttpConnection, Site(self._polls, self.control, application))

    def broadcast(self, segments: Segments, events: Sequence[str]) -> None:
        """Add events to the store, then deliver them to all subscribers."""
        for event in events:  # First: writing to thousands of sockets takes its time.
            self._polls.publish("/".join(segments), as_json(event.encode()))
        super().broadcast(segments, events)

    def close_connections(self) -> None:
        """Close the connections of both halves."""
        super().close_connections()
        self._polls.close_connections()

    def close(self) -> None:
        """End both halves."""
        super().close()
        self._polls.close()


class JointControl(Control):
    """Answers for both halves: the Event API's counts, and in ``polling`` those of the polls."""

    def __init__(self, sockets: HybridEmulator, polls: Control) -> None:
        super().__init__(sockets)
        self._polls = polls

    async def stats(self) -> Answer:
        """Return what all processes have counted."""
        told, of_polls = await asyncio.gather(super().stats(), self._polls.stats())
        stats, polled = orjson.loads(told.body), orjson.loads(of_polls.body)
        stats["billed"] |= polled.pop("billed")
        stats["polling"] = polled
        return Answer(told.status, orjson.dumps(stats))

    async def log(self) -> Answer:
        """Return what was hit by faults, one by one; first on sockets, then among polls."""
        told, of_polls = await asyncio.gather(super().log(), self._polls.log())
        entries = [*orjson.loads(told.body), *orjson.loads(of_polls.body)]
        return Answer(HTTPStatus.OK, orjson.dumps(entries))

    async def reset(self) -> Answer:
        """Let both halves begin their counts anew."""
        return _worse(*await asyncio.gather(super().reset(), self._polls.reset()))

    async def set_faults(self, body: bytes) -> Answer:
        """Let both halves play these faults; each hits its own connections."""
        told = await asyncio.gather(super().set_faults(body), self._polls.set_faults(body))
        return _worse(*told)


def _worse(one: Answer, other: Answer) -> Answer:
    return max(one, other, key=lambda answer: answer.status)
