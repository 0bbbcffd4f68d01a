"""What every emulator serves besides its system's own routes: the control paths, and bugs told."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from harness.emulation.control import Answer, Control
from harness.scenario.emulator import FAULTS_PATH, LOG_PATH, RESET_PATH, STATS_PATH

LOGGER = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_control_routes(add: Callable[[str, str, Handler], object], control: Control) -> None:
    """Add the routes of the control paths.

    Args:
        add: Takes a route's method, path and handler.
        control: Knows the answers.
    """

    async def stats(_request: web.Request) -> web.Response:
        return control_response(await control.stats())

    async def log(_request: web.Request) -> web.Response:
        return control_response(await control.log())

    async def faults(request: web.Request) -> web.Response:
        return control_response(await control.set_faults(await request.read()))

    async def reset(_request: web.Request) -> web.Response:
        return control_response(await control.reset())

    add("GET", STATS_PATH, stats)
    add("GET", LOG_PATH, log)
    add("POST", FAULTS_PATH, faults)
    add("POST", RESET_PATH, reset)


def control_response(answer: Answer) -> web.Response:
    """Return an answer that is not the service's; no page of another origin may read it."""
    return web.Response(body=answer.body, status=answer.status, content_type="application/json")


async def told_of_bugs(
    request: web.Request, handler: Handler, failure: Callable[[], web.Response]
) -> web.StreamResponse:
    """Handle a request, and log what no handler expects.

    The library's own log of it is off, see ``run_worker``.
    """
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        LOGGER.exception("a bug of the emulator")
        return failure()


def internal_error() -> web.Response:
    """Return the answer of a system that says nothing of its own about a bug."""
    return web.Response(text="Internal error.\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)
