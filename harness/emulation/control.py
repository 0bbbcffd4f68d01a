"""Control of a running emulator: its statistics, their reset, the faults to play, and the routes.

The process that receives a request sends a command to the others over the bus and answers when all
of them have executed it. The answer names processes that did not respond.
"""

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from hdrh.histogram import HdrHistogram
from pydantic import TypeAdapter, ValidationError

from harness.core.metric_types import PERCENTILES
from harness.core.own_requests import (
    CONTROL_TOKEN_VARIABLE,
    TOKEN_HEADER,
    is_own_host,
    is_own_origin,
    is_token,
)
from harness.emulation.bus import Bus, Parts
from harness.emulation.counters import Counters, nested
from harness.emulation.deliveries import LONGEST_DELAY_US, Deliveries
from harness.emulation.fault_log import read_fault_logs
from harness.emulation.faults import Faults
from harness.emulation.worker import WorkerContext
from harness.scenario.emulator import FAULTS_PATH, LOG_PATH, RESET_PATH, STATS_PATH
from harness.scenario.faults import Faults as FaultModels

LOGGER = logging.getLogger(__name__)

MARK = b"control"
"""First part of our messages on the bus; an emulator's own begin with another."""

ANSWER_TIMEOUT_S = 1.0
"""How long a process may take to answer; a living one is at worst in the middle of a broadcast."""

_FAULTS: TypeAdapter[FaultModels] = TypeAdapter(FaultModels)


class Answer(NamedTuple):
    """What to answer over HTTP, as JSON."""

    status: HTTPStatus
    body: bytes


Answerer = Callable[[bytes], Awaitable[Answer]]
"""Takes the body of a request to a control path."""


class Controlled(Protocol):
    """One process of an emulator, as far as it is controlled; see ``EmulatedService``."""

    worker_context: WorkerContext
    counters: Counters
    deliveries: Deliveries
    faults: Faults
    bus: Bus

    def refresh(self) -> None:
        """Bring counts up to now, before they are read."""

    def reset(self) -> None:
        """Begin anew what is kept besides the counts."""

    def report(self, totals: Mapping[str, int]) -> Mapping[str, Any]:
        """Return further tables of the statistics, from the sums of the counts."""


class Control:
    """The control of one process; made inside the running event loop."""

    def __init__(self, service: Controlled) -> None:
        context = service.worker_context
        self._service = service
        self._folder = context.folder
        self._index = context.index
        # As it is printed, and thus as clients call it.
        self._own_host = str(context.settings.get("host", "")).lower()
        self._others = frozenset(range(context.processes)) - {context.index}
        self._numbers = itertools.count()
        self.answers: dict[tuple[str, str], Answerer] = {
            ("GET", STATS_PATH): lambda _: self.stats(),
            ("GET", LOG_PATH): lambda _: self.log(),
            ("POST", FAULTS_PATH): self.set_faults,
            ("POST", RESET_PATH): lambda _: self.reset(),
        }
        # Number of what we asked -> who has not answered yet, and what waits for them.
        self._asked: dict[int, tuple[set[int], asyncio.Event]] = {}
        self._commands: dict[str, Callable[[Any], None]] = {
            "faults": self._take_faults,
            "reset": self._reset,
            "refresh": self._refresh,
        }

    async def guarded(
        self, answer: Answerer, method: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """Return an answer, or a refusal of a request that another page made a browser send.

        Changes need the token, if what started the emulator gave one.
        """
        found = {name.lower(): value for name, value in headers.items()}
        host, token = found.get("host", ""), os.environ.get(CONTROL_TOKEN_VARIABLE, "")
        known = is_token(found.get(TOKEN_HEADER.lower()), token)
        is_ours = known or is_own_host(host, (self._own_host,))
        if not (is_ours and is_own_origin(found.get("origin"), host)):
            return _answer(HTTPStatus.FORBIDDEN, {"message": "not for other hosts and origins"})
        if method == "POST" and token and not known:
            return _answer(HTTPStatus.FORBIDDEN, {"message": f"changes need {TOKEN_HEADER}"})
        return await answer(body)

    async def stats(self) -> Answer:
        """Return what all processes have counted."""
        silent = await self._ask("refresh")
        totals = self._service.counters.totals(silent)
        return _answer(
            HTTPStatus.OK,
            {
                **nested(totals),
                **self._service.report(totals),
                "delays_ms": self._delays_ms(),
                "processes": self._processes(silent),
            },
        )

    async def log(self) -> Answer:
        """Return which deliveries and connections were hit by faults, one by one."""
        return _answer(HTTPStatus.OK, read_fault_logs(self._folder))

    async def reset(self) -> Answer:
        """Let all processes begin their counts and records anew; faults go on."""
        return self._taken(await self._ask("reset"))

    async def set_faults(self, body: bytes) -> Answer:
        """Let all processes play the faults in a JSON array from now on, in place of others."""
        try:
            faults = _FAULTS.validate_json(body)
        except ValidationError as error:
            problems = [
                {"where": ".".join(["faults", *map(str, one["loc"])]), "message": one["msg"]}
                for one in error.errors()
            ]
            return _answer(HTTPStatus.BAD_REQUEST, {"errors": problems})
        command = {
            "faults": _FAULTS.dump_python(faults, mode="json"),
            "began_s": time.monotonic(),
            # Also other than what a process said that had this number before.
            "label": f"{self._index}-{time.monotonic_ns()}",
        }
        return self._taken(await self._ask("faults", command))

    def receive(self, parts: Parts) -> None:
        """Take a message that begins with ``MARK``."""
        message = orjson.loads(parts[1])
        if message["to"] == self._index:
            self._note(message["number"], message["from"])
        elif message["to"] is None:
            self._commands[message["command"]](message["argument"])
            self._tell(to=message["from"], number=message["number"])

    async def _ask(self, command: str, argument: object = None) -> list[int]:
        """Let all processes do something, this one first; return those that stayed silent."""
        self._commands[command](argument)
        if not self._others:
            return []
        number, missing, complete = next(self._numbers), set(self._others), asyncio.Event()
        self._asked[number] = missing, complete
        self._tell(to=None, number=number, command=command, argument=argument)
        try:
            await asyncio.wait_for(complete.wait(), ANSWER_TIMEOUT_S)
        except TimeoutError:
            pass
        finally:
            del self._asked[number]
        return sorted(missing)

    def _tell(self, **message: object) -> None:
        self._service.bus.publish([MARK, orjson.dumps({"from": self._index, **message})])

    def _note(self, number: int, process: int) -> None:
        if number in self._asked:
            missing, complete = self._asked[number]
            missing.discard(process)
            if not missing:
                complete.set()

    def _take_faults(self, command: Mapping[str, Any]) -> None:
        faults = _FAULTS.validate_python(command["faults"])
        self._service.faults.play(faults, command["began_s"], command["label"])

    def _reset(self, _argument: object) -> None:
        self._service.counters.reset()
        self._service.faults.log.reset()
        self._service.deliveries.delays.reset()
        self._service.reset()

    def _refresh(self, _argument: object) -> None:
        self._service.refresh()
        # Written under another name and then renamed: another process may be reading.
        written = self._folder / f".delays-{self._index}"
        written.write_bytes(self._service.deliveries.delays.encode())
        written.replace(self._folder / f"delays-{self._index}")

    def _delays_ms(self) -> dict[str, float]:
        """Return how late deliveries left that were delayed, merged over all processes."""
        merged = HdrHistogram(1, LONGEST_DELAY_US, 3)
        for file in self._folder.glob("delays-*"):
            merged.decode_and_add(file.read_bytes())
        if not merged.get_total_count():
            return {"count": 0}
        values = {
            name: merged.get_value_at_percentile(percentile) / 1000
            for name, percentile in {**PERCENTILES, "max": 100.0}.items()
        }
        return {"count": merged.get_total_count(), **values}

    def _processes(self, silent: Sequence[int]) -> dict[str, Sequence[int]]:
        answered = sorted((self._others | {self._index}) - set(silent))
        return {"answered": answered, "silent": silent}

    def _taken(self, silent: Sequence[int]) -> Answer:
        status = HTTPStatus.GATEWAY_TIMEOUT if silent else HTTPStatus.OK
        return _answer(status, {"processes": self._processes(silent)})


def control_answer(
    control: Control, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> Awaitable[Answer] | None:
    """Return what a request to a control path is answered with; None where the path is no such.

    Args:
        control: Of this process.
        method: Of the request.
        path: Without its query.
        body: Of the request.
        headers: By names in any case.
    """
    answer = control.answers.get((method, path))
    return control.guarded(answer, method, body, headers) if answer else None


def _answer(status: HTTPStatus, body: object) -> Answer:
    return Answer(status, orjson.dumps(body))


def add_control_routes(add: Callable[[str, str, Handler], object], control: Control) -> None:
    """Add the routes of the control paths; ``add`` takes a method, a path and a handler."""

    async def handle(answer: Answerer, request: web.Request) -> web.Response:
        body = await request.read()
        return control_response(
            await control.guarded(answer, request.method, body, request.headers)
        )

    for (method, path), answer in control.answers.items():
        add(method, path, partial(handle, answer))


def control_response(answer: Answer) -> web.Response:
    """Return an answer that is not the service's; no page of another origin may read it."""
    return web.Response(body=answer.body, status=answer.status, content_type="application/json")


def internal_error() -> web.Response:
    """Return the answer to a request that hit a bug, for systems without one of their own."""
    return web.Response(text="Internal error.\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)


def log_bugs(failure: Callable[[], web.Response] = internal_error) -> Middleware:
    """Return a middleware that logs unexpected exceptions and answers with ``failure``.

    The library's own log of them is off, see ``run_worker``.
    """

    @web.middleware
    async def handle(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            LOGGER.exception("a bug of the emulator")
            return failure()

    return handle
