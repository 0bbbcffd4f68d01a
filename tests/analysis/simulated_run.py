"""A whole run, simulated: every delivery drawn, counted and written as a real run would."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.measure.histogram import LatencyHistogram
from harness.measure.record import RecordWriter
from tests.analysis.synthetic_record import (
    EPOCH_NS,
    at,
    connection,
    publish,
    run_file,
    second,
    worker_second,
)

SLOS = [
    {"metric": "deliveries.ratio", "op": ">=", "limit": 1.0},
    {"metric": "joins.failed", "op": "==", "limit": 0.0},
    {"metric": "fan_out_latency_ms.p99", "op": "<=", "limit": 500.0},
    {"metric": "joins.latency_ms.p99", "op": "<=", "limit": 1000.0},
]

DRAWN = ("fan_out_latency", "service_latency", "receive_delay")
STAGES = ((0.05, "tcp"), (0.4, "upgrade"), (0.25, "init"), (0.3, "subscribe"))
PERCENTILES = ("p50", "p90", "p99", "p999", "max")


@dataclass
class Simulation:
    """What to simulate; the answer is counted while it is drawn."""

    subscribers: int = 36
    chatters: int = 4
    join_rate_per_s: int = 20
    publishes_per_s: int = 4
    measure_s: int = 8
    median_ms: float = 12.0
    spread: float = 0.5
    lost_ratio: float = 0.0
    failed_joins: int = 0
    seed: int = 20261123
    changes: dict[str, Any] = field(default_factory=dict)
    delivered: int = 0
    owed: int = 0

    @property
    def phases(self):
        """The phases, as a plan would lay them out."""
        join_s = -(-(self.subscribers + self.chatters) // self.join_rate_per_s)
        lengths = [join_s, 2, 2, self.measure_s, 3]
        ends = np.cumsum(lengths)
        names = ("join", "settle", "warm_up", "measure", "drain")
        return [
            {"name": name, "start_s": float(end - length), "end_s": float(end)}
            for name, length, end in zip(names, lengths, ends, strict=True)
        ]

    def phase_at(self, moment):
        """Return the name of the phase at a second of the run."""
        inside = [p["name"] for p in self.phases if p["start_s"] <= moment < p["end_s"]]
        return inside[0] if inside else "drain"

    def write(self, folder):
        """Draw the run and write its record."""
        return _Drawing(self, folder).write()


class _Drawing:
    def __init__(self, plan, folder):
        self.plan = plan
        self.folder = folder
        self.random = np.random.default_rng(plan.seed)
        self.end_s = plan.phases[-1]["end_s"]
        self.users = plan.subscribers + plan.chatters
        self.is_chatter = np.arange(self.users) % 10 == 9
        self.joined_s = np.arange(self.users) / plan.join_rate_per_s + 0.008
        self.join_ms = self.random.lognormal(np.log(6), 0.4, self.users)
        self.delivered = np.zeros(self.users, int)
        self.last_s = np.full(self.users, np.nan)
        self.stall_s = np.zeros(self.users)
        self.values = {}

    def write(self):
        plan, sends = self.plan, self._sends()
        publishes, arrivals = [], []
        for index, sent_s in enumerate(sends):
            publishes.append(publish(index, sent_s, phase=plan.phase_at(sent_s), chatter=index % 7))
            arrivals += self._deliver(index, sent_s)
        plan.delivered = int(self.delivered.sum())
        with RecordWriter(self.folder) as writer:
            writer.begin(EPOCH_NS)
            writer.append("publishes", publishes)
            writer.append("arrivals", arrivals)
            writer.append("connections", self._connections())
            writer.append("timeline", self._timeline(sends))
            writer.append("generator", self._generator())
            writer.append("errors", self._errors())
            for (tag, number), one in sorted(self._histograms().items()):
                writer.append_histogram(tag, number, one)
            writer.write_run(self._run())
        return self.folder

    def _sends(self):
        phases = {phase["name"]: phase for phase in self.plan.phases}
        start, end = phases["warm_up"]["start_s"], phases["measure"]["end_s"]
        count = int((end - start) * self.plan.publishes_per_s)
        return np.sort(self.random.uniform(start, end - 0.001, count))

    def _deliver(self, index, sent_s):
        """Draw one message's deliveries and return its rows of arrivals."""
        plan = self.plan
        phase = plan.phase_at(sent_s)
        swell = 1 + 1.5 * np.sin(sent_s / 3) ** 8
        fan_out = self.random.lognormal(np.log(plan.median_ms * swell), plan.spread, self.users)
        got = self.random.random(self.users) >= plan.lost_ratio
        plan.owed += self.users
        arrived_s = sent_s + fan_out / 1000
        self.delivered += got
        self.last_s = np.where(got, np.fmax(self.last_s, arrived_s), self.last_s)
        self.stall_s = np.where(got, np.maximum(self.stall_s, fan_out / 1000), self.stall_s)
        rows = []
        for user_class, mask in self._classes():
            chosen = got & mask
            values = fan_out[chosen]
            own = self.random.uniform(0.02, 0.6, len(values))
            drawn = {"fan_out_latency": values, "service_latency": values, "receive_delay": own}
            number = int(sent_s)
            for metric, sample in drawn.items():
                self.values.setdefault((metric, user_class, phase, number), []).append(sample)
            first, last = (arrived_s[chosen].min(), arrived_s[chosen].max())
            rows.append(
                {
                    "stream": 0,
                    "sequence": index,
                    "worker": 0,
                    "user_class": user_class,
                    "delivered": int(chosen.sum()),
                    "first_arrival_ns": at(first),
                    "last_arrival_ns": at(last),
                }
            )
        for metric, low, high in (("publish_latency", 1.0, 4.0), ("send_delay", 0.05, 0.8)):
            sample = self.random.uniform(low, high, 1)
            key = (metric, "chatter", phase, int(sent_s))
            self.values.setdefault(key, []).append(sample)
        return rows

    def _classes(self):
        return (("subscriber", ~self.is_chatter), ("chatter", self.is_chatter))

    def _connections(self):
        for user in range(self.users):
            last_s = None if np.isnan(self.last_s[user]) else self.last_s[user]
            yield connection(
                user,
                float(self.joined_s[user]),
                self.end_s,
                delivered=int(self.delivered[user]),
                last_s=last_s,
                user_class="chatter" if self.is_chatter[user] else "subscriber",
                longest_stall_s=float(self.stall_s[user]),
            )
        for user in range(self.plan.failed_joins):
            yield connection(self.users + user, None)

    def _timeline(self, sends):
        for number in range(int(self.end_s)):
            for user_class, mask in self._classes():
                joins = mask & (self.joined_s >= number) & (self.joined_s < number + 1)
                row = second(number, phase=self.plan.phase_at(number), user_class=user_class)
                row["connected"] = int((mask & (self.joined_s < number + 1)).sum())
                row["joins_attempted"] = row["joins_succeeded"] = int(joins.sum())
                if number == 0 and user_class == "subscriber":
                    row["joins_failed"] = self.plan.failed_joins
                    row["joins_attempted"] += self.plan.failed_joins
                if user_class == "chatter":
                    due = int(((sends >= number) & (sends < number + 1)).sum())
                    row["publishes_offered"] = row["publishes_sent"] = due
                yield row | self._percentiles(user_class, number)

    def _percentiles(self, user_class, number):
        columns = {}
        for metric in DRAWN:
            keys = [k for k in self.values if k[0] == metric and k[1::2] == (user_class, number)]
            if not keys:
                continue
            sample = np.concatenate([one for key in keys for one in self.values[key]])
            found = np.percentile(sample, [50, 90, 99, 99.9, 100], method="inverted_cdf")
            for name, value in zip(PERCENTILES, found, strict=True):
                columns[f"{metric}_ms_{name}"] = float(value)
            columns["deliveries"] = len(sample)
        return columns

    def _histograms(self):
        merged = {}
        for (metric, user_class, phase, number), samples in self.values.items():
            one = merged.setdefault((f"{metric}.{user_class}.{phase}", number), LatencyHistogram())
            one.record_many((np.concatenate(samples) * 1e6).astype(np.int64))
        for user_class, mask in self._classes():
            one = merged.setdefault((f"join_latency.{user_class}.join", 1), LatencyHistogram())
            one.record_many((self.join_ms[mask] * 1e6).astype(np.int64))
            for share, stage in STAGES:
                one = merged.setdefault((f"join_{stage}.{user_class}.join", 1), LatencyHistogram())
                one.record_many((self.join_ms[mask] * share * 1e6).astype(np.int64))
        lag = LatencyHistogram()
        lag.record_many((self.random.lognormal(-1, 0.8, 2000) * 1e6).astype(np.int64))
        merged["loop_lag.generator.measure", int(self.end_s) - 4] = lag
        return merged

    def _generator(self):
        for number in range(int(self.end_s)):
            cpu = float(self.random.uniform(0.2, 0.45))
            yield worker_second(number, cpu_ratio=cpu, connections=self.users)

    def _errors(self):
        if self.plan.failed_joins:
            yield {
                "second": 0,
                "worker": 0,
                "stage": "upgrade",
                "error_class": "RemoteProtocolError",
                "code": "UnauthorizedException",
                "message": "You are not authorized to make this call.",
                "count": self.plan.failed_joins,
            }

    def _run(self):
        run = run_file(phases=self.plan.phases, ended_s=self.end_s)
        run["plan"]["workload"] |= {
            "name": "quickstart",
            "description": "A first look: one room, a thousand people, a lively chat.",
            "slos": SLOS,
        }
        run["plan"]["target"]["name"] = "appsync-events-emulated"
        return run | self.plan.changes
