"""``python -m benchmarks.hostile_crowd [PAIRS]``: what a crowd pays for hostile connections in it.

Runs of 1,000 listeners on ``benchmarks.hostile_hub``, in pairs: all well served, then every
twentieth met by some hostility. Prints the median percentiles of both and their ratio, by protocol.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.false_alarms import ROOT, wait_until_quiet
from benchmarks.hostile_hub import KEY

PAIRS = 3
KEY_VARIABLE = "HOSTILE_CROWD_KEY"
WORKLOAD = """
name = "hostile-crowd"
seed = 20261130
[population]
subscribers = 1000
chatters = 4
chatters_subscribe = false
[channels]
count = 2
[joins]
rate_per_s = 400.0
[publishing]
rate_per_s = {rate_per_s}
transport = "{transport}"
[phases]
settle_s = 0.5
warm_up_s = 0.5
measure_s = {measure_s}
drain_s = 1.5
[reconnect]
policy = "never"
"""
SOCKETS = """
name = "hostile-sockets"
system = "api-gateway-websocket"
[endpoints]
http = "http://127.0.0.1:{port}"
realtime = "ws://127.0.0.1:{port}/"
[auth]
api_key_env = "{key}"
[client]
route_responses = false
"""
STREAMS = """
name = "hostile-streams"
system = "server-sent-events"
[endpoints]
http = "http://127.0.0.1:{port}/pub{{channel}}"
realtime = "http://127.0.0.1:{port}/sub{{channel}}"
[auth]
api_key_env = "{key}"
[client]
publish_body = "{{message}}"
publish_content_type = "text/plain"
"""
PROTOCOLS = {"WebSocket": (SOCKETS, "websocket"), "server-sent events": (STREAMS, "http")}
FIGURES = ("fan_out_latency_ms", "receive_delay_ms")
LIMITED, MOST_RATIO = "fan_out_latency_ms.p99", 1.10
"""What may grow, and how far, by the hostile connections."""

MOST_LAG_MS = 100.0


class Hub:
    """A hub in a process of its own.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        self._process = process
        self.port = int(process.stdout.readline())

    def account(self) -> list[dict[str, Any]]:
        """End it, and return kind and counts of each listener."""
        account: list[dict[str, Any]] = json.loads(self._process.communicate()[0])
        return account


@contextlib.contextmanager
def hub(*, is_hostile: bool = True) -> Iterator[Hub]:
    """Let a hub serve for as long as a block lasts."""
    command = [sys.executable, "-m", "benchmarks.hostile_hub"]
    with subprocess.Popen(
        command + [] * is_hostile + ["--good"] * (not is_hostile),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield Hub(process)
        finally:
            process.kill()


def scenario(
    folder: Path, protocol: str, port: int, *, rate_per_s: float = 10.0, measure_s: float = 4.0
) -> tuple[Path, Path]:
    """Write workload and target of a run; return both files."""
    target, transport = PROTOCOLS[protocol]
    files = folder / "workload.toml", folder / "target.toml"
    texts = (
        WORKLOAD.format(rate_per_s=rate_per_s, measure_s=measure_s, transport=transport),
        target.format(port=port, key=KEY_VARIABLE),
    )
    for file, text in zip(files, texts, strict=True):
        file.write_text(text, encoding="utf-8")
    return files


def run_once(protocol: str, *, is_hostile: bool) -> dict[str, Any]:
    """Return the summary of one run."""
    with tempfile.TemporaryDirectory() as place, hub(is_hostile=is_hostile) as serving:
        files = scenario(Path(place), protocol, serving.port, rate_per_s=20.0, measure_s=20.0)
        command = [sys.executable, "-m", "harness", "run", files[0], "--target", files[1]]
        out = Path(place) / "record"
        subprocess.run(
            [*map(str, command), "--out", str(out)],
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=os.environ | {KEY_VARIABLE: KEY.decode()},
        )
        summary: dict[str, Any] = json.loads((out / "run.json").read_bytes())["summary"]
        return summary


def compared(protocol: str, found: dict[bool, list[dict[str, Any]]]) -> bool:
    """Print the table of a protocol; return whether its limits hold."""
    holds = True
    for figure in FIGURES:
        for percentile in ("p50", "p99"):
            well, met = (
                statistics.median(one[figure][percentile] for one in found[kind])
                for kind in (False, True)
            )
            name, limit = f"{figure}.{percentile}", ""
            if name == LIMITED:
                holds = met / well <= MOST_RATIO
                limit = limit_text(MOST_RATIO, holds=holds)
            row = f"{protocol:20s} {name:22s} {well:12.2f} {met:12.2f} {met / well:6.2f}  {limit}"
            print(row.rstrip(), flush=True)
    lag_ms = max(one["generator"]["loop_lag_ms"]["p99"] for one in found[True])
    lag_holds = lag_ms <= MOST_LAG_MS
    limit = limit_text(MOST_LAG_MS, holds=lag_holds)
    row = f"{protocol:20s} {'loop_lag_ms.p99':22s} {'':12s} {lag_ms:12.2f} {'':6s}  {limit}"
    print(row, flush=True)
    return holds and lag_holds


def limit_text(most: float, *, holds: bool) -> str:
    """Return a limit, and whether it holds."""
    return f"at most {most:g}  {'holds' if holds else 'DOES NOT HOLD'}"


def main() -> int:
    """Run the pairs and print the table; 0 if all limits hold."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    print(
        f"{'protocol':20s} {'figure':22s} {'well served':>12s} {'5 % hostile':>12s} {'ratio':>6s}"
    )
    all_hold = True
    for protocol in PROTOCOLS:
        found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for _ in range(pairs):
            for is_hostile, summaries in found.items():
                wait_until_quiet()
                summaries.append(run_once(protocol, is_hostile=is_hostile))
        all_hold = compared(protocol, found) and all_hold
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
