"""How long the standard broadcast takes, against the formula that others reckon with.

    T(N) = t_invoke + t_read(N) + max(ceil(N / (W * K)) * L, max(0, N - B) / R)

W functions with K calls under way, L seconds a call, a token bucket of B that fills with R a
second. It follows from the pattern of github.com/aws-samples/simple-websockets-chat-app, one
call a connection, and from the quotas of API Gateway; neither it nor any total is in the emulator.
"""

import asyncio
import contextlib
import heapq
import itertools
import math
import time
from random import Random
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from harness.emulation.counters import Counters
from harness.emulation.scheduler import Scheduler
from harness.emulation.worker import WorkerContext
from harness.systems.api_gateway_websocket.emulator.admission import Admission
from harness.systems.api_gateway_websocket.emulator.broadcast import start_broadcast
from harness.systems.api_gateway_websocket.emulator.functions import Functions
from harness.systems.api_gateway_websocket.emulator.management import OK
from harness.systems.api_gateway_websocket.emulator.process import ApiGatewayEmulator
from harness.systems.api_gateway_websocket.emulator.service import COUNTS
from harness.systems.api_gateway_websocket.emulator.table import Row
from harness.systems.api_gateway_websocket.options import Broadcast, Options, Quotas

ROOM = "/default/room-0"
IMMEDIATE: dict[str, Any] = {"invoke_ms": 0.0, "cold_start_ms": 0.0, "page_ms": 0.0}


def reckoned_s(n, *, w=1, k=50, l_s=0.03, r_per_s=math.inf, b=0, t_s=0.0):
    """Return the formula's value."""
    return t_s + max(math.ceil(n / (w * k)) * l_s, max(0, n - b) / r_per_s)


class VirtualScheduler(Scheduler):
    """Does what is due in order, and the time is what it last did."""

    def __init__(self):
        self.now_s = 1000.0
        self._heap = []
        self._order = itertools.count()

    def at(self, due_s, action):
        heapq.heappush(self._heap, (due_s, next(self._order), action))

    def run(self, until):
        while not until():
            due_s, _, action = heapq.heappop(self._heap)
            self.now_s = max(self.now_s, due_s)
            action()


class VirtualRun:
    """The mechanism of one emulator process, whose table has so many rows, in virtual time."""

    def __init__(self, folder, monkeypatch, rows, *, quotas=None, **broadcast):
        self.scheduler: Any = VirtualScheduler()
        faults: Any = None
        clock = SimpleNamespace(
            monotonic=lambda: self.scheduler.now_s,
            monotonic_ns=lambda: round(self.scheduler.now_s * 1e9),
        )
        for module in ("admission", "functions"):
            name = f"harness.systems.api_gateway_websocket.emulator.{module}.time"
            monkeypatch.setattr(name, clock)
        context = WorkerContext(folder)
        self.counters = Counters(context, COUNTS)
        self.posted_s = []
        options = Broadcast(**IMMEDIATE | broadcast)
        table: Any = SimpleNamespace(
            read=lambda _channel, limit: [
                Row(str(number), has_left=False) for number in range(rows)
            ][: limit if limit >= 0 else None]
        )
        self.service: Any = SimpleNamespace(
            options=SimpleNamespace(broadcast=options),
            functions=Functions(options, self.scheduler, self.counters),
            table=table,
            management=SimpleNamespace(call=self._post, number_event=lambda: 0),
            admission=Admission(quotas or Quotas(enabled=False), faults, context),
            scheduler=self.scheduler,
            counters=self.counters,
            rng=Random(1),
        )

    def _post(self, _method, _connection, answered, _data, _event):
        self.posted_s.append(self.scheduler.now_s)
        answered(OK)

    def broadcast(self, messages=1):
        """Send messages at once; return how long it took until the last was posted."""
        began_s, ends = self.scheduler.now_s, []
        for _ in range(messages):
            start_broadcast(self.service, ROOM, b"x", ends.append)
        self.scheduler.run(until=lambda: len(ends) == messages)
        self.reached = ends[0] if messages == 1 else sum(ends)
        return (self.posted_s[-1] if self.posted_s else self.scheduler.now_s) - began_s


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Make the mechanism with so many connections; it lets go of its files after the test."""
    with contextlib.ExitStack() as made:

        def make(rows, **arguments):
            run = VirtualRun(tmp_path, monkeypatch, rows, **arguments)
            made.callback(run.service.admission.close)
            return run

        yield make


@pytest.mark.parametrize("workers", [1, 20])
@pytest.mark.parametrize("recipients", [400, 5_000, 30_000])
def test_calls_take_as_long_as_the_formula_says(make_run, recipients, workers):
    """Full scale in virtual time: 0.24, 3 and 18 s from one function, a twentieth from twenty."""
    run = make_run(recipients, workers=workers)
    assert pytest.approx(reckoned_s(recipients, w=workers), rel=0.15) == run.broadcast()
    assert recipients == run.reached


TENTH = Quotas(requests_per_s=1_000, burst=500)
"""The throttle at a tenth of its scale, so that a tenth of the recipients take as long."""


def test_throttle_is_the_floor_however_many_functions_share_the_work(make_run):
    """30,000 recipients need 2.5 s, here 3,000: a bucket at once and its rate from then on."""
    run = make_run(
        3_000, quotas=TENTH, workers=20, attempts=10_000, backoff_ms=100.0, backoff_most_ms=100.0
    )
    assert pytest.approx(2.5, rel=0.15) == run.broadcast()
    within_s = [moment - run.posted_s[0] for moment in run.posted_s]
    assert pytest.approx(1_500, rel=0.05) == sum(moment <= 1.0 for moment in within_s)


def test_more_broadcasts_than_the_throttle_carries_lose_messages(make_run):
    """Five at once to 3,000, with the SDK's three attempts: what gets no token is lost."""
    run = make_run(3_000, quotas=TENTH, workers=20)
    took_s = run.broadcast(messages=5)
    count = run.counters.own
    assert run.reached == len(run.posted_s)
    assert 500 + 1_000 * took_s >= run.reached >= 0.9 * 1_000 * took_s
    lost = 15_000 - run.reached
    assert lost > 7_500
    assert (lost, 0) == (count("deliveries.dropped.throttled"), count("deliveries.pending"))


def test_function_that_is_ended_leaves_the_rest_out(make_run):
    """SAM's default of 3 s is over after 100 rounds of 50: 5,000 of 30,000 were posted to."""
    run = make_run(30_000, function_timeout_s=3.001)
    run.broadcast()
    assert run.reached is None
    assert 5_000 == len(run.posted_s)
    assert 25_000 == run.counters.own("deliveries.dropped.function_timeout")


def test_pages_and_start_come_on_top(make_run):
    """10 ms to the function, 100 more for a cold start, and 20 ms for each of three pages."""
    run = make_run(30_000, invoke_ms=10.0, cold_start_ms=100.0, page_ms=20.0)
    assert pytest.approx(reckoned_s(30_000, t_s=0.17)) == run.broadcast()
    assert pytest.approx(reckoned_s(30_000, t_s=0.07)) == run.broadcast()


def test_function_that_reads_one_page_only_leaves_the_rest_out(make_run):
    """As AWS's sample does: of 30,000 rows it knows 10,000."""
    run = make_run(30_000, first_page_only=True)
    run.broadcast()
    assert 10_000 == run.reached


# The same with sockets and the machine's clock, and a client that is not ours.


async def join(socket):
    """Join as soon as the throttle lets one."""
    answer = {}
    while answer.get("action") != "join":
        await socket.send_json({"action": "join", "channel": ROOM})
        answer = await socket.receive_json()


async def arrivals_s(port, recipients, rest_s):
    """Send one message to so many aiohttp clients; return when each got it, after the send.

    Before that the throttle rests for ``rest_s``: the joins have emptied its bucket.
    """
    address = f"http://127.0.0.1:{port}/production"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        sockets = [await session.ws_connect(address) for _ in range(recipients)]
        for socket in sockets:
            await join(socket)
        sender = await session.ws_connect(address)
        await asyncio.sleep(rest_s)
        began_s = time.monotonic()
        await sender.send_json({"action": "sendmessage", "channel": ROOM, "data": {}})

        async def arrival(socket):
            assert {} == await socket.receive_json()
            return time.monotonic() - began_s

        return sorted(await asyncio.gather(*map(arrival, sockets)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mechanism", "quotas"),
    [
        pytest.param({"w": 1, "k": 5, "l_s": 0.03}, {}, id="one function"),
        pytest.param({"w": 4, "k": 2, "l_s": 0.05}, {}, id="four functions"),
        pytest.param({"w": 8, "k": 25, "l_s": 0.01}, {"r_per_s": 150, "b": 50}, id="throttle"),
    ],
)
def test_broadcast_takes_at_least_as_long_on_this_machine(mechanism, quotas):
    """The last of 200 recipients is reached after 1.0 to 1.25 s, however fast the machine is."""
    recipients = 200
    limits, rest_s = Quotas(enabled=False), 0.0
    if quotas:
        limits = Quotas(requests_per_s=quotas["r_per_s"], burst=quotas["b"])
        rest_s = quotas["b"] / quotas["r_per_s"]
    options = Options(
        quotas=limits,
        broadcast=Broadcast(
            **IMMEDIATE,
            workers=mechanism["w"],
            sockets=mechanism["k"],
            post_ms=mechanism["l_s"] * 1000,
            attempts=1000,
            backoff_most_ms=20.0,
        ),
    )
    with ApiGatewayEmulator.start(options) as emulator:
        times = asyncio.run(arrivals_s(emulator.port, recipients, rest_s))
    assert recipients == len(times)
    assert 0.85 * reckoned_s(recipients, **mechanism, **quotas) <= times[-1]
