import json
from argparse import Namespace
from dataclasses import replace

import pytest
from websockets.frames import Opcode
from websockets.protocol import SERVER, Protocol

from benchmarks.ingest import Result, as_text, measure
from benchmarks.ingest_client import Findings, masked

GOOD = Findings(
    offered=120_000,
    accepted=120_000,
    delivered=120_000,
    seconds=10.0,
    cpu_s=2.0,
    latency_ms={"p50": 1.0, "p99": 9.0, "max": 20.0},
)


@pytest.mark.parametrize("size", [0, 100, 126, 1000, 65_535, 70_000])
def test_masked_frame_is_read_by_another_library(size):
    """Whatever its length takes in the header."""
    message = {"type": "publish", "text": "x" * size}
    server = Protocol(SERVER)
    server.state = server.state.OPEN
    server.receive_data(masked(message))
    (frame,) = server.events_received()
    assert (Opcode.TEXT, True) == (frame.opcode, frame.fin)
    assert message == json.loads(bytes(frame.data))


def test_good_result_has_no_complaints():
    """Enough, soon, and all of it delivered."""
    assert [] == Result(GOOD, {}, 8.0).complaints()


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ({"seconds": 13.0}, "9,231 events a second, 10,000 needed"),
        ({"refused": 5, "first_refusal": "why"}, "5 events refused: why"),
        ({"delivered": 119_995}, "119995 of 120000 events delivered"),
        ({"latency_ms": {"p99": 1500.0}}, "answers took 1500 ms (p99), 1000 allowed"),
    ],
)
def test_result_that_is_not_good_enough_says_why(found, complaint):
    """One reason at a time, with both figures."""
    assert [complaint] == Result(replace(GOOD, **found), {}, 8.0).complaints()


def test_text_shows_rates_latency_and_cores():
    """8 s of CPU in 10 s are 0.8 cores, and 67 µs an event."""
    assert [
        "offered 12,000 events/s",
        "accepted 12,000 events/s",
        "delivered 120,000 of 120,000, to one subscriber each",
        "answered in 1.0 ms; p99 9.0 ms",
        "emulator 0.80 cores; 67 µs of CPU an event",
        "client 0.20 cores",
    ] == [" ".join(line.split()) for line in as_text(Result(GOOD, {}, 8.0)).splitlines()]


def test_client_and_emulator_agree_to_the_last_event(tmp_path):
    """A short run over both transports: all that was offered is accepted, counted and delivered."""
    given = Namespace(rate=400.0, seconds=1.0, batch=5, event_bytes=200, processes=2)
    result = measure(given, tmp_path)
    found, stats = result.findings, result.stats
    assert (400, 400, 0, 400) == (found.offered, found.accepted, found.refused, found.delivered)
    assert 400 == stats["events"]["published"] == stats["deliveries"]["sent"]
