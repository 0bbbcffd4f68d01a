"""A polling service made of aiohttp, with names of its own for everything; run as a program.

It prints its port. ``GET /log`` tells of every poll: when it came, from which port, with which
headers. What a room does besides is in its name.
"""

import asyncio
import ssl
import sys
import time
from collections import defaultdict
from typing import Any

from aiohttp import web

TROUBLE: dict[str, Any] = {
    "busy": {"status": 429, "headers": {"retry-after": "1"}},
    "broken": {"status": 500, "text": "a bug"},
    "nonsense": {"text": "<html>"},
}
"""How rooms answer their second poll."""

rooms = defaultdict(list)
polls = []


async def poll(request):
    """Answer with what came after ``since``, or with 304."""
    room, since = request.match_info["room"], request.query.get("since")
    number = sum(entry["room"] == room for entry in polls)
    polls.append(
        {
            "room": room,
            "at_s": time.monotonic(),
            "port": request.transport.get_extra_info("peername")[1],
            "since": since,
            "headers": {name.lower(): value for name, value in request.headers.items()},
        }
    )
    if number == 1 and room in TROUBLE:
        return web.Response(**TROUBLE[room])
    if number == 1 and room == "slow":
        await asyncio.sleep(30)
    if room == "closed-forever":
        return web.Response(status=503, text="closed")
    if room.startswith("busy-at-first-") and not number:
        return web.Response(status=int(room.rpartition("-")[2]), headers={"retry-after": "7"})
    newest = f'"{len(rooms[room])}"'
    if request.headers.get("if-none-match") == newest:
        return web.Response(status=304, headers={"etag": newest})
    start = len(rooms[room]) if since is None else int(since)
    page = {"found": {"entries": rooms[room][start:]}, "cursor": len(rooms[room])}
    if room == "paced":
        page["wait"] = 250
    answer = web.json_response(page, headers={"etag": newest})
    if room == "pieces":
        answer.enable_chunked_encoding()
    if room == "hangs-up":
        answer.force_close()
    return answer


async def publish(request):
    """Keep a message."""
    rooms[request.match_info["room"]].append(await request.text())
    return web.Response(status=202)


async def log(_request):
    """Tell of all polls."""
    return web.json_response(polls)


async def main(idle_s, certificate):
    """Serve until killed."""
    application = web.Application()
    application.router.add_get("/rooms/{room}", poll)
    application.router.add_post("/rooms/{room}", publish)
    application.router.add_get("/log", log)
    runner = web.AppRunner(application, keepalive_timeout=idle_s, access_log=None)
    await runner.setup()
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.sleep(120)


asyncio.run(main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
