"""``python -m benchmarks.ingest``: how many events a second go into the emulator.

WebSockets and HTTP connections publish batches of five in turn, at a fixed rate, on channels with
one subscriber each. Emulator and client share the machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.ingest_client import Findings, RunAssignment
from benchmarks.programs import cpu_ns
from benchmarks.senders import ROOT, Emulator

NEEDED_PER_S = 10_000.0
LATENCY_P99_MS = 1000.0
"""Above this the emulator does not keep up: its queues grow for as long as the load lasts."""

PUBLISHES_PER_SOCKET = 20.0
"""Below the 25 a second that one WebSocket may send. Source: Service Quotas code L-D33F7C2A."""

CLIENT_WITHIN_S = 120.0
SETTINGS = {"quotas.inbound_events_per_s": 1_000_000.0, "quotas.connects_per_s": 1_000_000.0}
"""Rates are what is measured here, so none is limited; the quota of each socket stays."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement.

    Attributes:
        findings: What the client saw.
        stats: What the emulator counted.
        emulator_cpu_s: CPU time of its processes meanwhile, from the first connect.
    """

    findings: Findings
    stats: dict[str, Any]
    emulator_cpu_s: float

    @property
    def per_s(self) -> float:
        """Events accepted a second."""
        return self.findings.accepted / self.findings.seconds

    def complaints(self) -> list[str]:
        """Return why this is not good enough; nothing where it is."""
        found = self.findings
        rules = {
            f"{self.per_s:,.0f} events a second, {NEEDED_PER_S:,.0f} needed": self.per_s
            >= NEEDED_PER_S,
            f"{found.refused} events refused: {found.first_refusal}": found.refused == 0,
            f"{found.delivered} of {found.accepted} events delivered": found.delivered
            == found.accepted,
            f"answers took {found.latency_ms['p99']:.0f} ms (p99), {LATENCY_P99_MS:.0f} allowed": (
                found.latency_ms["p99"] <= LATENCY_P99_MS
            ),
        }
        return [complaint for complaint, holds in rules.items() if not holds]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 0 where the emulator takes what it should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--rate", type=float, default=12_000.0, help="events a second offered")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--event-bytes", type=int, default=200)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="processes of the emulator")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ingest-") as folder:
        result = measure(given, Path(folder))
    print(json.dumps(asdict(result), indent=2) if given.json else as_text(result))
    complaints = result.complaints()
    for complaint in complaints:
        print(f"error: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def measure(given: argparse.Namespace, folder: Path) -> Result:
    """Run one emulator and one client against each other."""
    publishes_per_s = given.rate / given.batch
    connections = max(1, round(publishes_per_s / 2 / PUBLISHES_PER_SOCKET))
    with Emulator(folder, tls=False, processes=given.processes, settings=SETTINGS) as emulator:
        order = RunAssignment(
            http=emulator.http,
            realtime=emulator.realtime,
            api_key=emulator.api_key,
            websockets=connections,
            http_connections=connections,
            publishes_per_s=publishes_per_s,
            batch=given.batch,
            event_bytes=given.event_bytes,
            seconds=given.seconds,
        )
        before_ns = cpu_ns(emulator.pids())
        findings = run_client(order)
        used_s = (cpu_ns(emulator.pids()) - before_ns) / 1e9
        return Result(findings, emulator.stats(), used_s)


def run_client(order: RunAssignment) -> Findings:
    """Return what the client found."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest_client"],
        input=json.dumps(asdict(order)) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=CLIENT_WITHIN_S,
        check=True,
    )
    return Findings(**json.loads(done.stdout))


def as_text(result: Result) -> str:
    """Return the findings for people."""
    found, latency = result.findings, result.findings.latency_ms
    emulator_cores = result.emulator_cpu_s / found.seconds
    cpu_us = result.emulator_cpu_s / found.accepted * 1e6 if found.accepted else 0.0
    return "\n".join(
        (
            f"offered     {found.offered / found.seconds:>10,.0f} events/s",
            f"accepted    {result.per_s:>10,.0f} events/s",
            f"delivered   {found.delivered:>10,} of {found.accepted:,}, to one subscriber each",
            f"answered in {latency['p50']:>10.1f} ms; p99 {latency['p99']:.1f} ms",
            f"emulator    {emulator_cores:>10.2f} cores; {cpu_us:.0f} µs of CPU an event",
            f"client      {found.cpu_s / found.seconds:>10.2f} cores",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
