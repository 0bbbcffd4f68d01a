"""What a worker reports of arrivals whose instants are known: no clock and no machine has a say."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.message_token import MessageToken, needle_of
from harness.core.metric_types import PERCENTILES, SUBSCRIBER
from harness.load.worker.clock_sync import ClockSync
from harness.load.worker.worker import Worker
from harness.load.worker_protocol import SECOND, Endpoints, RunAssignment
from harness.measure.histogram import LatencyHistogram
from harness.measure.ledger import SubscriberLedger
from tests.support.plans import make_plan

SUBSCRIBERS, MESSAGES = 40, 500
MEASURED_S, SEND_DELAY_MS = 15.0, 3.0
PRECISION = 0.001
"""Of a histogram: three digits."""


@pytest.fixture(name="worker")
def _worker():
    """A worker that is at the end of a run, its tracker of subscribers, and what it sends."""
    sent: list[Any] = []
    began_ns = time.time_ns() - 60 * NS_PER_S
    assignment = RunAssignment("run", began_ns, make_plan(), Endpoints("", ""), ("local",))
    api: Any = None  # Nobody joins.
    table: Any = SimpleNamespace(deliveries=lambda *_: None)
    made = Worker(assignment, 0, api, lambda *told: sent.append(told), table, ClockSync.local())
    yield made, sent
    made.context.health.close()


def histograms_of(made, sent):
    """Return the merged latencies of subscribers in the measured phase, in ns, and the arrivals."""
    made.report(everything=True)
    ((_, report),) = [each for each in sent if each[0] == SECOND]
    found = {}
    for metric in ("fan_out_latency", "service_latency"):
        found[metric] = LatencyHistogram()
        found[metric].add_encoded(report["histograms"][f"{metric}.{SUBSCRIBER}.measure"])
    return found, report["arrivals"]


def deliver(made, latencies_ns):
    """Give each subscriber each message so long after it was intended; shape (message, person)."""
    context, tracker = made.context, made.context.trackers[SUBSCRIBER]
    needle = needle_of("run")
    room = context.plan.channel_path(0)
    people = [SubscriberLedger(tracker, [room]) for _ in range(SUBSCRIBERS)]
    for ledger in people:
        ledger.owed_from_ns = context.clock.epoch_ns
    for sequence, of_message in enumerate(latencies_ns.tolist()):
        intended_ns = context.clock.epoch_ns + round(MEASURED_S * NS_PER_S) + sequence * NS_PER_MS
        token = MessageToken(0, sequence, intended_ns, intended_ns + round(SEND_DELAY_MS * 1e6))
        for ledger, latency_ns in zip(people, of_message, strict=True):
            ledger.event(token.to_bytes(needle), intended_ns + latency_ns)


DELAYS_MS = {
    "fixed": lambda random: np.full((MESSAGES, SUBSCRIBERS), 250.0),
    "lognormal": lambda random: random.lognormal(np.log(80.0), 0.866, (MESSAGES, SUBSCRIBERS)) + 4,
    "one in a hundred stalled": lambda random: np.where(
        random.random((MESSAGES, SUBSCRIBERS)) < 0.01, 5000.0, 12.0
    ),
}


@pytest.mark.parametrize("delays_ms", DELAYS_MS.values(), ids=DELAYS_MS)
def test_percentiles_are_those_of_the_known_latencies(worker, delays_ms):
    """From the ledger through the tracker into the report, p50 to max are within three digits."""
    made, sent = worker
    latencies_ns = (delays_ms(np.random.default_rng(7)) * NS_PER_MS).astype(np.int64)
    deliver(made, latencies_ns)
    found, arrivals = histograms_of(made, sent)
    for metric, earlier_ms in (("fan_out_latency", 0.0), ("service_latency", SEND_DELAY_MS)):
        known_ms = np.sort(latencies_ns.ravel()) / NS_PER_MS - earlier_ms
        shown = found[metric].percentiles_ms()
        assert found[metric].count == known_ms.size
        for name, percentile in PERCENTILES.items():
            expected_ms = known_ms[round(known_ms.size * percentile / 100) - 1]
            assert shown[name] == pytest.approx(expected_ms, rel=PRECISION), (metric, name)
        assert shown["max"] == pytest.approx(known_ms[-1], rel=PRECISION)
    spans_ns = [row["last_arrival_ns"] - row["first_arrival_ns"] for row in arrivals]
    assert sorted(np.ptp(latencies_ns, axis=1).tolist()) == sorted(spans_ns)
