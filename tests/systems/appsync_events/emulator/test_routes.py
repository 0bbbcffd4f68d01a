"""What a client sees of a bug of the emulator."""

import asyncio
import logging
import socket
import time

from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.emulator.sessions import Session
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import KEY, MARKER, header


def test_bug_on_an_open_connection_closes_it_and_writes_no_http(tmp_path, monkeypatch, caplog):
    """The client is told 1011 in a frame; the bug is in the log."""

    async def fail(_session):
        raise RuntimeError("planted")

    async def ends():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            options = Options()
            AppSyncEventsEmulator.make_files(options, tmp_path, 1)
            emulator = AppSyncEventsEmulator(
                options, WorkerContext(0, 1, tmp_path, listener, {}, time.monotonic())
            )
            runner = emulator.runner()
            await runner.setup()
            await web.SockSite(runner, listener).start()
            offered = [Subprotocol(MARKER), Subprotocol(header(KEY))]
            address = f"ws://127.0.0.1:{listener.getsockname()[1]}/event/realtime"
            try:
                async with connect(address, subprotocols=offered, proxy=None) as client:
                    return await _end_of(client)
            finally:
                await runner.cleanup()
                emulator.close()

    monkeypatch.setattr(Session, "run", fail)
    with caplog.at_level(logging.ERROR):
        assert 1011 == asyncio.run(ends())
    assert "planted" in caplog.text


async def _end_of(client):
    """Return the code of the close frame that the server sends."""
    try:
        async with asyncio.timeout(10):
            said = await client.recv()
    except ConnectionClosedError as error:
        return error.rcvd.code if error.rcvd else None
    return said
