"""A whole run, simulated: every delivery drawn, counted and written as a real run would."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.core.metric_types import PERCENTILES, STATISTICS
from harness.measure.histogram import ArrivalBins, LatencyHistogram
from tests.support.records import (
    arrival,
    at,
    connection,
    disturbance,
    publish,
    run_file,
    second,
    worker_second,
    write_record,
)

SLOS = [
    {"metric": "deliveries.ratio", "op": ">=", "limit": 1.0},
    {"metric": "joins.failed", "op": "==", "limit": 0.0},
    {"metric": "fan_out_latency_ms.p99", "op": "<=", "limit": 500.0},
    {"metric": "joins.latency_ms.p99", "op": "<=", "limit": 1000.0},
]

DRAWN = ("fan_out_latency", "service_latency", "receive_delay", "send_delay")
STAGES = ((0.05, "tcp"), (0.4, "upgrade"), (0.25, "init"), (0.3, "subscribe"))


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
    duplicated_ratio: float = 0.0
    failed_joins: int = 0
    stall: tuple[float, float] | None = None
    """From when until when nothing is delivered; what waits then comes at once."""
    cut: tuple[float, float] | None = None
    """When connections are cut, and the share of them; they come back with jitter."""
    held_back: tuple[float, float] | None = None
    """From when until when the sender sends nothing; what was due goes out at once."""
    disturbances: list[dict[str, Any]] = field(default_factory=list)
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
        self.away_s, self.back_s = self._absences()
        connections = (2, self.users)  # before and after the cut
        self.delivered = np.zeros(connections, int)
        self.duplicated = np.zeros(connections, int)
        self.first_s = np.full(connections, np.nan)
        self.last_s = np.full(connections, np.nan)
        self.stall_s = np.zeros(connections)
        self.values = {}

    def write(self):
        plan, sends = self.plan, self._sends()
        publishes, arrivals = [], []
        for index, due_s in enumerate(sends):
            sent_s = self._sent_s(due_s)
            row = publish(index, sent_s, phase=plan.phase_at(due_s), chatter=index % 7)
            publishes.append(row | {"intended_ns": at(due_s)})
            arrivals += self._deliver(index, due_s, sent_s)
        plan.delivered = int(self.delivered.sum())
        return write_record(
            self.folder,
            run=self._run(),
            publishes=publishes,
            arrivals=arrivals,
            connections=self._connections(),
            timeline=self._timeline(sends),
            generator=list(self._generator()),  # Drawn before the histograms.
            errors=self._errors(),
            histograms=[(*key, one) for key, one in sorted(self._histograms().items())],
        )

    def _absences(self):
        """Draw who is cut off when, and until when; nobody without a cut."""
        away_s = np.full(self.users, np.inf)
        if self.plan.cut:
            moment_s, share = self.plan.cut
            away_s[self.random.random(self.users) < share] = moment_s
        return away_s, away_s + 3 + self.random.uniform(0, 5, self.users)

    def _sends(self):
        phases = {phase["name"]: phase for phase in self.plan.phases}
        start, end = phases["warm_up"]["start_s"], phases["measure"]["end_s"]
        count = int((end - start) * self.plan.publishes_per_s)
        return np.sort(self.random.uniform(start, end - 0.001, count))

    def _sent_s(self, due_s):
        from_s, until_s = self.plan.held_back or (0, 0)
        return until_s if from_s <= due_s < until_s else due_s + self.random.uniform(5e-5, 8e-4)

    def _deliver(self, index, due_s, sent_s):
        """Draw one message's deliveries and return its rows of arrivals."""
        plan = self.plan
        phase = plan.phase_at(due_s)
        swell = 1 + 1.5 * np.sin(sent_s / 3) ** 8
        latency_ms = self.random.lognormal(np.log(plan.median_ms * swell), plan.spread, self.users)
        arrived_s = self._stalled(sent_s + latency_ms / 1000)
        there = (sent_s < self.away_s) | (sent_s >= self.back_s)
        in_flight = (sent_s < self.away_s) & (arrived_s >= self.away_s)
        got = there & ~in_flight & (self.random.random(self.users) >= plan.lost_ratio)
        twice = got & (self.random.random(self.users) < plan.duplicated_ratio)
        plan.owed += int(there.sum())
        self._account((sent_s >= self.back_s).astype(int), got, twice, sent_s, arrived_s)
        rows = []
        for user_class, mask in self._classes():
            chosen = got & mask
            fan_out_ms = (arrived_s[chosen] - due_s) * 1000
            drawn = {
                "fan_out_latency": fan_out_ms,
                "service_latency": fan_out_ms - (sent_s - due_s) * 1000,
                "receive_delay": self.random.uniform(0.02, 0.6, len(fan_out_ms)),
            }
            self._note(drawn, user_class, phase, arrived_s[chosen])
            bins = ArrivalBins()
            bins.add((fan_out_ms * 1e6).astype(np.int64))
            first_s = arrived_s[chosen].min() if chosen.any() else None
            last_s = arrived_s[chosen].max() if chosen.any() else None
            changes = {"user_class": user_class, "duplicated": int((twice & mask).sum())}
            changes["arrival_bins"] = bins.pairs()
            rows.append(arrival(index, int(chosen.sum()), first_s, last_s, **changes))
        own = {
            "publish_latency": self.random.uniform(1.0, 4.0, 1),
            "send_delay": np.array([(sent_s - due_s) * 1000]),
        }
        self._note(own, "chatter", phase, np.array([sent_s]))
        return rows

    def _stalled(self, arrived_s):
        from_s, until_s = self.plan.stall or (0, 0)
        waits = (arrived_s >= from_s) & (arrived_s < until_s)
        return np.where(waits, until_s + self.random.uniform(0, 0.03, self.users), arrived_s)

    def _account(self, part, got, twice, sent_s, arrived_s):
        """Keep each connection's account; ``part`` says which of a user's two it is."""
        place = (part[got], np.flatnonzero(got))
        waited_s = arrived_s[got] - np.fmax(self.last_s[place], sent_s)
        self.stall_s[place] = np.maximum(self.stall_s[place], waited_s)
        self.first_s[place] = np.fmin(self.first_s[place], arrived_s[got])
        self.last_s[place] = np.fmax(self.last_s[place], arrived_s[got])
        self.delivered[place] += 1
        self.duplicated[part, np.arange(self.users)] += twice

    def _note(self, drawn, user_class, phase, arrived_s):
        """Keep latencies by the second in which they became known."""
        for metric, sample in drawn.items():
            for number in np.unique(arrived_s.astype(int)):
                of_second = sample[arrived_s.astype(int) == number]
                key = (metric, user_class, phase, int(number))
                self.values.setdefault(key, []).append(of_second)

    def _classes(self):
        return (("subscriber", ~self.is_chatter), ("chatter", self.is_chatter))

    def _connections(self):
        for user in range(self.users):
            cut = self.away_s[user] < self.end_s
            spans = [(self.joined_s[user], self.away_s[user]), (self.back_s[user], self.end_s)]
            if not cut:
                spans = [(self.joined_s[user], self.end_s)]
            for part, (from_s, until_s) in enumerate(spans):
                yield self._connection(user, part, float(from_s), float(until_s))
        for user in range(self.plan.failed_joins):
            yield connection(self.users + user, None)

    def _connection(self, user, part, from_s, until_s):
        place = (part, user)
        row = connection(
            user,
            from_s,
            until_s,
            delivered=int(self.delivered[place]),
            last_s=None if np.isnan(self.last_s[place]) else self.last_s[place],
            user_class="chatter" if self.is_chatter[user] else "subscriber",
            connection=part,
            duplicated=int(self.duplicated[place]),
            longest_stall_s=float(self.stall_s[place]),
        )
        if self.delivered[place]:
            row["first_arrival_ns"] = at(self.first_s[place])
        return row

    def _timeline(self, sends):
        for number in range(int(self.end_s)):
            for user_class, mask in self._classes():
                joined, back, cut = (
                    mask & (moments >= number) & (moments < number + 1)
                    for moments in (self.joined_s, self.back_s, self.away_s)
                )
                row = second(number, phase=self.plan.phase_at(number), user_class=user_class)
                away = (self.away_s < number + 1) & (self.back_s >= number + 1)
                row["connected"] = int((mask & ~away & (self.joined_s < number + 1)).sum())
                row["joins_succeeded"] = int(joined.sum() + back.sum())
                row["joins_attempted"] = row["joins_succeeded"]
                row["disconnects"] = row["errors"] = int(cut.sum())
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
            found = np.percentile(sample, [*PERCENTILES.values(), 100], method="inverted_cdf")
            for name, value in zip(STATISTICS, found, strict=True):
                columns[f"{metric}_ms_{name}"] = float(value)
            if metric == "fan_out_latency":
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
        cut_s, _ = self.plan.cut or (0, 0)
        cut = int((self.away_s < self.end_s).sum())
        refused = ("upgrade", "RemoteProtocolError", "UnauthorizedException", "No such key.")
        names = ("second", "worker", "count", "stage", "error_class", "code", "message")
        rows = (
            (0, 0, self.plan.failed_joins, *refused),
            (int(cut_s), 0, cut, "receive", "Disconnected", "1006", "the connection broke"),
        )
        return [dict(zip(names, row, strict=True)) for row in rows if row[2]]

    def _run(self):
        run = run_file(phases=self.plan.phases, ended_s=self.end_s)
        run["plan"]["workload"] |= {
            "name": "quickstart",
            "description": "A first look: one room, a thousand people, a lively chat.",
            "slos": SLOS,
        }
        run["plan"]["target"]["name"] = "appsync-events-emulated"
        run["disturbances"] = self.plan.disturbances
        return run | self.plan.changes


def troubled_run(failed_joins):
    """Return the simulation of a run with everything that can go wrong."""
    return Simulation(
        measure_s=30,
        lost_ratio=0.01,
        duplicated_ratio=0.01,
        failed_joins=failed_joins,
        stall=(10.0, 15.0),
        cut=(24.0, 0.5),
        disturbances=[
            disturbance("emulator stall", "stall", 10.0, 15.0),
            disturbance("half cut off", "connection_loss", 24.0, 24.0),
        ],
    )
