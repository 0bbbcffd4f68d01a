"""A TCP line that is slow, in each direction by its own delay and jitter: ``python slow_line.py``.

Bytes keep their order: each piece leaves when its delay is over, never before the one ahead.
"""

import asyncio
import contextlib
import random
import sys

PIECE_BYTES = 65_536
APART_S = 1e-6
"""The loop calls what is due at one instant in any order."""


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float, jitter_s: float
) -> None:
    """Pass on what comes, late, and the end after it."""
    loop = asyncio.get_running_loop()
    last = loop.time()
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            last = max(last + APART_S, loop.time() + delay_s + random.uniform(0.0, jitter_s))
            loop.call_at(last, writer.write, piece)
    loop.call_at(last + APART_S, writer.close)


async def serve(port: int, host: str, there_s: float, back_s: float, jitter_s: float) -> None:
    """Connect each that comes to the same port of ``host``."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:  # The one who came tries again, as it would without this line.
            writer.close()
            return
        await asyncio.gather(
            carry(reader, far_writer, there_s, jitter_s),
            carry(far_reader, writer, back_s, jitter_s),
        )

    async with await asyncio.start_server(joined, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    its_port, far_host, *delays_s = sys.argv[1:]
    asyncio.run(serve(int(its_port), far_host, *map(float, delays_s)))
