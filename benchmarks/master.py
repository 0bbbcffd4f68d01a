"""What a master of many workers costs: ``python -m benchmarks.master --workers 200``.

A real Locust master takes what 200 workers at full rate would send it, over its own sockets: each
second a report, two questions for the time and a heartbeat; every third second Locust's statistics.
The workers are one process that only sends. Shown is the master's share of one core, which it must
not exceed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import locust
import numpy as np
from locust.env import Environment
from locust.rpc import Message, zmqrpc

from harness.core.clock import NS_PER_MS
from harness.load import worker_protocol
from harness.load.channel import secure_channel
from harness.load.master.assembler import SecondAssembler
from harness.load.master.worker_registry import WorkerRegistry
from harness.load.run_secret import RUN_SECRET, VARIABLE, new_secret
from harness.load.worker.interval_stats import IntervalStats
from harness.measure.histogram import LatencyHistogram
from harness.measure.record import RecordWriter
from harness.measure.record_schema import JOURNAL_TABLES
from harness.scenario.loading import load_plan
from harness.scenario.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
WORKLOAD = ROOT / "scenarios" / "workloads" / "reference-burst.toml"
TARGET = ROOT / "scenarios" / "targets" / "appsync-events-emulated.toml"

MESSAGES_PER_S = 10
"""Of the whole run, each of which every worker reports: a burst six times the reference mean."""

DELIVERIES_PER_S = 5000
"""Of one worker: what 500 users get of ten messages."""

LATENCIES = ("fan_out_latency", "service_latency", "receive_delay")
PHASE = "measure"
ASKS_PER_S = 2
HEARD_WITHIN_S = 30.0


def report(worker: int, second: int, random: np.random.Generator) -> dict[str, Any]:
    """Return what a busy worker sends for one second."""
    stats = IntervalStats()
    for user_class in ("subscriber", "chatter"):
        stats.count(user_class, "deliveries", DELIVERIES_PER_S // 2)
        for metric in LATENCIES:
            values_ns = random.gamma(4.0, 2.0 * NS_PER_MS, DELIVERIES_PER_S // 2).astype(np.int64)
            stats.latencies(metric, user_class, PHASE, values_ns)
    taken = stats.take()
    lag = LatencyHistogram()
    lag.record_many(random.gamma(2.0, NS_PER_MS, 50).astype(np.int64))
    taken["histograms"][f"loop_lag.generator.{PHASE}"] = lag.encode()
    health = dict.fromkeys(JOURNAL_TABLES["generator"], 1.25) | {"second": second, "worker": worker}
    return {
        "worker": worker,
        "pid": os.getpid(),
        "second": second,
        "connected": {"subscriber": 450, "chatter": 50},
        "generator": health,
        "publishes": [],
        "arrivals": list(_arrivals(worker, second)),
        "requests": [],
        "tried": {},
        **taken,
    }


def _arrivals(worker: int, second: int) -> Iterator[dict[str, Any]]:
    for number in range(MESSAGES_PER_S):
        for user_class in ("subscriber", "chatter"):
            yield {
                "stream": number,
                "sequence": second,
                "worker": worker,
                "user_class": user_class,
                "delivered": DELIVERIES_PER_S // MESSAGES_PER_S,
                "duplicated": 0,
                "reordered": 0,
                "late": 0,
                "unexpected": 0,
                "first_arrival_ns": time.time_ns(),
                "last_arrival_ns": time.time_ns(),
                "arrival_bins": [[place, 25] for place in range(20)],
            }


def simulate(port: int, workers: int, seconds: int) -> None:
    """Be all the workers, for so many seconds; answers are left unread."""
    random = np.random.default_rng(1)
    ids = [f"worker_{number}" for number in range(workers)]
    clients = [zmqrpc.Client("127.0.0.1", port, worker) for worker in ids]
    # Made before: what is measured is the master, and the sender must keep its time.
    reports = [report(number, 0, random) for number in range(workers)]
    for worker, client in zip(ids, clients, strict=True):
        client.send(Message("client_ready", locust.__version__, worker))
    began_s = time.monotonic()
    for second in range(seconds):
        for number, (worker, client) in enumerate(zip(ids, clients, strict=True)):
            due_s = began_s + second + number / workers
            time.sleep(max(due_s - time.monotonic(), 0.0))
            told = reports[number] | {"second": second}
            client.send(Message(worker_protocol.SECOND, told, worker))
            for _ in range(ASKS_PER_S):
                asked = {"asked_ns": time.time_ns()}
                client.send(Message(worker_protocol.CLOCK_REQUEST, asked, worker))
            heartbeat = {"state": "running", "current_cpu_usage": 5.0, "current_memory_usage": 1}
            client.send(Message("heartbeat", heartbeat, worker))
            if second % 3 == 0:
                client.send(Message("stats", STATS | {"user_count": 500}, worker))


STATS = {
    "stats": [],
    "stats_total": {
        "name": "Aggregated",
        "method": "",
        "last_request_timestamp": None,
        "start_time": 0.0,
        "num_requests": 0,
        "num_none_requests": 0,
        "num_failures": 0,
        "total_response_time": 0,
        "max_response_time": 0,
        "min_response_time": None,
        "total_content_length": 0,
        "response_times": {},
        "num_reqs_per_sec": {},
        "num_fail_per_sec": {},
    },
    "errors": {},
    "user_classes_count": {"Subscriber": 450, "Chatter": 50},
}


def measure(workers: int, seconds: int) -> dict[str, float]:
    """Run a master against simulated workers; return what it took."""
    plan = load_plan(WORKLOAD, TARGET)
    with tempfile.TemporaryDirectory() as folder, RecordWriter(Path(folder) / "record") as writer:
        writer.begin(time.time_ns())
        return _measure(plan, writer, workers, seconds)


def _measure(plan: Plan, writer: RecordWriter, workers: int, seconds: int) -> dict[str, float]:
    runner: Any = Environment(user_classes=[]).create_master_runner("127.0.0.1", 0)
    assembler = SecondAssembler(plan, writer, workers)
    registry = WorkerRegistry(runner.send_message, measure_clocks=True, system=plan.target.system)
    heard: list[float] = []

    def second(msg: Any, **_: Any) -> None:
        assembler.add(msg.data)
        heard.append(time.monotonic())

    runner.register_message(worker_protocol.SECOND, second)
    runner.register_message(
        worker_protocol.CLOCK_REQUEST,
        lambda msg, **_: registry.answer_clock(msg.node_id, **msg.data),
    )
    words = ("--port", runner.server.port, "--workers", workers, "--seconds", seconds)
    command = [sys.executable, "-m", "benchmarks.master", "--simulate", *map(str, words)]
    environment = os.environ | {VARIABLE: RUN_SECRET.text}  # It was taken out by secure_channel.
    with subprocess.Popen(command, cwd=ROOT, env=environment) as sender:
        try:
            taken = _watch(heard, workers, workers * seconds)
        finally:
            sender.kill()
    runner.greenlet.kill(block=True)
    runner.server.close(linger=0)
    return {"workers": workers, "seconds": seconds, "reports": len(heard), **taken}


def _watch(heard: list[float], workers: int, expected: int) -> dict[str, float]:
    """Return the master's use of its core from the first second's end to the last report."""
    deadline_s = time.monotonic() + HEARD_WITHIN_S + expected / workers
    while len(heard) < workers and time.monotonic() < deadline_s:
        gevent.sleep(0.01)
    began_s, cpu_s = time.monotonic(), time.process_time()
    while len(heard) < expected and time.monotonic() < deadline_s:
        gevent.sleep(0.01)
    wall_s = max(time.monotonic() - began_s, 1e-9)
    used_s = time.process_time() - cpu_s
    rounds = max(len(heard) / workers - 1, 1e-9)
    return {
        "core_ratio": round(used_s / wall_s, 3),
        "core_s_per_second_of_run": round(used_s / rounds, 3),
    }


def main() -> None:
    """Measure, print what was found as JSON, and fail where a core is not enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--simulate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault(VARIABLE, new_secret())  # Empty, it measures an open channel.
    secure_channel()
    if options.simulate:
        simulate(options.port, options.workers, options.seconds)
        return
    found = measure(options.workers, options.seconds)
    print(json.dumps(found))
    complete = found["reports"] == options.workers * options.seconds
    sys.exit(0 if complete and found["core_s_per_second_of_run"] <= 1.0 else 1)


if __name__ == "__main__":
    main()
