"""What every emulator serves besides its system's own routes: the control paths."""

import logging
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from harness.emulation.control import Answer, Control
from harness.scenario.emulator import FAULTS_PATH, LOG_PATH, RESET_PATH, STATS_PATH

LOGGER = logging.getLogger(__name__)


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


def internal_error() -> web.Response:
    """Return the answer to a request that hit a bug, for systems without one of their own."""
    return web.Response(text="Internal error.\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)


def log_bugs(failure: Callable[[], web.Response] = internal_error) -> Middleware:
    """Return a middleware that logs exceptions which no handler expects.

    The library's own log of them is off, see ``run_worker``.

    Args:
        failure: Makes the answer to such a request.
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
