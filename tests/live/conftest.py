import json

import numpy as np
import pytest

from harness.live.run import LiveRun
from harness.load.master.assembler import SecondAssembler
from harness.load.schedule import Schedule
from harness.load.worker.interval_stats import IntervalStats
from harness.measure.record import RecordWriter
from tests.support.plans import make_plan

EPOCH_NS = 1_000_000_000_000
SECOND_NS = 1_000_000_000


def at_ns(second):
    return EPOCH_NS + round(second * SECOND_NS)


def publish(
    sequence,
    sent_s,
    *,
    outcome="acknowledged",
    phase="measure",
    channel="/default/room-0",
    chatter=0,
):
    return {
        "stream": None if outcome == "not_sent" else 0,
        "sequence": None if outcome == "not_sent" else sequence,
        "channel": channel,
        "chatter": chatter,
        "sent_ns": None if outcome == "not_sent" else at_ns(sent_s),
        "outcome": outcome,
        "phase": phase,
    }


def arrivals(sequence, delivered, **others):
    counts = {"duplicated": 0, "reordered": 0, "late": 0, "unexpected": 0, **others}
    return {"stream": 0, "sequence": sequence, "delivered": delivered, **counts}


def report(second=0, *, worker=0, windows=None, publishes=(), arrivals=(), stats=None, connected=0):
    """Return what a worker sends the master for a second."""
    return {
        "worker": worker,
        "second": second,
        "connected": {"subscriber": connected},
        "generator": {
            "worker": worker,
            "second": second,
            "cpu_ratio": 0.25,
            "cpu_wait_ratio": 0.01,
            "rss_bytes": 1000,
            "loop_lag_ms_max": 2.0,
            "connections": connected,
            "send_delay_ms_max": 3.0,
            "receive_backlog": 40,
            "late_slots": 0,
        },
        "subscription_intervals": windows or {},
        "publishes": list(publishes),
        "arrivals": list(arrivals),
        "requests": [],
        "tried": {},
        **(stats or IntervalStats()).take(),
    }


def latencies(seconds, *, metric="fan_out_latency", phase="measure"):
    """Return a stats of deliveries with these latencies."""
    stats = IntervalStats()
    values_ns = np.array([round(value * SECOND_NS) for value in seconds], np.int64)
    stats.latencies(metric, "subscriber", phase, values_ns)
    stats.count("subscriber", "deliveries", len(seconds))
    return stats


def live_run(plan=None):
    """Return the account of a run that has just begun."""
    plan = plan or make_plan()
    schedule = Schedule(plan)
    run = LiveRun(plan, schedule.intended_s, schedule.channel)
    run.begin("run", EPOCH_NS, 1, [], [])
    return run


def play(run, folder, reports, workers=1):
    """Have the master's assembler take these reports, and the account with it."""
    with RecordWriter(folder) as writer:
        assembler = SecondAssembler(run.plan, writer, workers, run.second)
        for one in reports:
            # Locust's channel knows no tuples and no integer keys; JSON neither.
            assembler.add(json.loads(json.dumps(one)))
        assembler.flush()
    return run


@pytest.fixture(name="played")
def _played(tmp_path):
    """A run of three subscribers and two messages, one delivery lost and one came twice."""
    failing = latencies([0.004, 0.006, 0.012])
    for metric in ("join_latency", "send_delay", "receive_delay", "loop_lag"):
        failing.latency(metric, "subscriber", "measure", 2_000_000)
    failing.count("subscriber", "joins_attempted", 4)
    failing.count("subscriber", "joins_succeeded", 3)
    failing.count("subscriber", "joins_failed", 1)
    failing.error("upgrade", "JoinError", "429", 'slow down, "you"')
    windows = {"/default/room-0": ([at_ns(0)] * 3, [])}
    reports = [
        report(13, windows=windows, stats=failing, connected=3, publishes=[publish(0, 13.5)]),
        report(14, stats=latencies([0.08, 0.09]), connected=3, publishes=[publish(1, 14.5)]),
        report(20, arrivals=[arrivals(0, 3, duplicated=1), arrivals(1, 2)], connected=3),
    ]
    run = play(live_run(), tmp_path / "run", reports)
    run.end(37.0, None)
    return run
