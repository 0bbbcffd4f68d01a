"""Rows and records made by hand, for tests that know the answer.

Times are given in seconds since the epoch; everything is written by the record's own writer.
"""

from pathlib import Path

from harness.measure.histogram import LatencyHistogram
from harness.measure.record import RecordWriter
from harness.measure.record_schema import DELIVERY_COUNTS, IRREGULAR_COUNTS, TIMELINE_COUNTERS
from harness.scenario.workload import Generator

EPOCH_NS = 1_795_447_800_000_000_000
ROOM = "/default/room-0"

PHASES = [
    {"name": "join", "start_s": 0.0, "end_s": 2.0},
    {"name": "settle", "start_s": 2.0, "end_s": 3.0},
    {"name": "warm_up", "start_s": 3.0, "end_s": 4.0},
    {"name": "measure", "start_s": 4.0, "end_s": 10.0},
    {"name": "drain", "start_s": 10.0, "end_s": 12.0},
]


def at(second):
    """Return the run clock at a second of the run; None stays None."""
    return None if second is None else EPOCH_NS + round(second * 1e9)


def publish(index, sent_s, *, outcome="acknowledged", channel=ROOM, phase="measure", **changes):
    """Return a row of the publishes' journal; message ``index`` of stream 0."""
    return {
        "id": index,
        "stream": 0,
        "sequence": index,
        "worker": 0,
        "channel": channel,
        "chatter": index,
        "bytes": 300,
        "intended_ns": at(sent_s),
        "sent_ns": None if outcome == "not_sent" else at(sent_s),
        "acknowledged_ns": at(sent_s + 0.004) if outcome == "acknowledged" else None,
        "outcome": outcome,
        "phase": phase,
    } | changes


def arrival(index, delivered, first_s, last_s, **changes):
    """Return a row of the arrivals' journal for message ``index`` of stream 0."""
    return {
        "stream": 0,
        "sequence": index,
        "worker": 0,
        "user_class": "subscriber",
        **dict.fromkeys(DELIVERY_COUNTS, 0),
        "delivered": delivered,
        "first_arrival_ns": at(first_s),
        "last_arrival_ns": at(last_s),
    } | changes


def connection(user, from_s, until_s=12.0, *, delivered=0, last_s=None, **changes):
    """Return a row of the connections' journal; ``from_s`` None is a join that failed."""
    joined = from_s is not None
    return {
        "worker": 0,
        "user_class": "subscriber",
        "user": user,
        "connection": 0,
        "channel": ROOM,
        "joined": joined,
        "failure_stage": None if joined else "upgrade",
        "failure_code": None if joined else "UnauthorizedException",
        "join_start_ns": at(from_s - 0.02 if joined else 0.0),
        "tcp_ms": 0.2,
        "tls_ms": None,
        "upgrade_ms": 2.0,
        "init_ms": 1.0,
        "subscribe_ms": 1.5,
        "owed_from_ns": at(from_s),
        "owed_until_ns": at(until_s) if joined else None,
        "closed_ns": at(until_s),
        "close_code": 1000,
        "close_reason": "",
        "received": delivered,
        **dict.fromkeys((*DELIVERY_COUNTS, *IRREGULAR_COUNTS), 0),
        "delivered": delivered,
        "longest_stall_s": 0.05,
        "first_arrival_ns": at(last_s),
        "last_arrival_ns": at(last_s),
    } | changes


def second(number, *, phase="measure", user_class="subscriber", **changes):
    """Return a row of the timeline; percentiles are null unless given."""
    row = {"second": number, "phase": phase, "user_class": user_class, "connected": 0}
    return row | dict.fromkeys(TIMELINE_COUNTERS, 0) | changes


def worker_second(number, *, worker=0, **changes):
    """Return a row of the generator's table for a worker at ease."""
    return {
        "second": number,
        "worker": worker,
        "cpu_ratio": 0.25,
        "cpu_wait_ratio": 0.02,
        "machine_idle_ratio": 0.6,
        "machine_others_ratio": 0.01,
        "loop_lag_ms_p50": 0.2,
        "loop_lag_ms_p99": 1.0,
        "loop_lag_ms_max": 3.0,
        "send_delay_ms_max": 0.4,
        "receive_delay_ms_p99": 0.6,
        "receive_backlog": 2,
        "gc_pause_ms_max": 0.3,
        "clock_step_ms": 0.00001,
        "late_slots": 0,
        "unstamped_receives": 0,
        "rss_bytes": 90_000_000,
        "connections": 3,
        "open_files": 20,
    } | changes


def run_file(**changes):
    """Return a ``run.json`` as a completed run leaves it."""
    return {
        "schema_version": 1,
        "run_id": "9f3c2a7d",
        "status": "completed",
        "cause": None,
        "started_at": "2026-11-23T15:30:00Z",
        "epoch_ns": EPOCH_NS,
        "ended_s": 12.0,
        "plan": {
            "workload": {
                "name": "by-hand",
                "seed": 7,
                "population": {"subscribers": 3, "chatters": 1},
                "generator": Generator().model_dump(),
                "slos": [{"metric": "deliveries.ratio", "op": ">=", "limit": 1.0}],
            },
            "target": {"name": "emulated", "system": "appsync-events", "emulated": True},
            "workload_file": "scenarios/workloads/by-hand.toml",
            "target_file": "scenarios/targets/emulated.toml",
        },
        "phases": PHASES,
        "environment": {
            "host": "loader-1",
            "os": "Linux-6.18",
            "cpu_model": "Example CPU",
            "cpus": 2,
            "memory_bytes": 25_769_803_776,
            "open_files_limit": 20_000,
            "python": "CPython 3.11.2",
            "versions": {"locust": "2.46.2", "gevent": "26.9"},
            "git_revision": "0123abc",
            "clock_resolution_ns": 1,
        },
        "workers": [{"index": 0, "pid": 4242}],
        "warnings": [],
    } | changes


def histogram(*values_ms):
    """Return a histogram of the given latencies, in milliseconds."""
    result = LatencyHistogram()
    for value in values_ms:
        result.record(round(value * 1e6))
    return result


def write_record(folder: Path, *, run=None, histograms=(), **tables) -> Path:
    """Write a record as a run does: journals, a histogram log and ``run.json``.

    ``histograms`` holds (tag, second, histogram); ``tables`` the rows by journal name.
    """
    with RecordWriter(folder) as writer:
        writer.begin(EPOCH_NS)
        for table, rows in tables.items():
            writer.append(table, rows)
        for tag, number, one in histograms:
            writer.append_histogram(tag, number, one)
        writer.write_run(run or run_file())
    return folder


def three_subscribers(folder: Path, **changes) -> Path:
    """Write a run with three subscribers and two messages of which one delivery was lost.

    Subscribers 0 and 1 are there throughout; 2 joins at 6 s. Message 0 (5 s) is owed to two and
    reaches both, message 1 (7 s) is owed to three and misses subscriber 2, which is silent from
    7 s until it leaves at 12 s.
    """
    tables = {
        "timeline": [
            second(0, phase="join", connected=2, joins_attempted=3, joins_succeeded=2),
            second(5, connected=2, deliveries=2, fan_out_latency_ms_p99=20.0),
            second(6, connected=3, joins_succeeded=1),
            second(7, connected=3, deliveries=2, fan_out_latency_ms_p99=40.0),
        ],
        "generator": [worker_second(number) for number in range(12)],
        "publishes": [publish(0, 5.0), publish(1, 7.0)],
        "arrivals": [arrival(0, 2, 5.01, 5.02), arrival(1, 2, 7.03, 7.04)],
        "connections": [
            connection(0, 1.0, delivered=2, last_s=7.03),
            connection(1, 1.0, delivered=2, last_s=7.04),
            connection(2, 6.0),
        ],
        "histograms": [
            ("fan_out_latency.subscriber.measure", 5, histogram(10, 20)),
            ("fan_out_latency.subscriber.measure", 7, histogram(30, 40)),
            ("join_latency.subscriber.join", 0, histogram(5, 6)),
        ],
    }
    return write_record(folder, **(tables | changes))


def disturbance(name, kind, start_s, end_s):
    """Return an entry of the disturbances in ``run.json``."""
    return {"name": name, "kind": kind, "start_s": start_s, "end_s": end_s}
