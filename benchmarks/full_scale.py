"""The reference population on two systems: losses and latency."""

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.programs import Program, ProgramError
from benchmarks.senders import ROOT, Nchan, NchanStreams

WORKLOAD = ROOT / "scenarios/workloads/reference.toml"
EMULATED = ROOT / "scenarios/targets/appsync-events-emulated.toml"
CHATTERS = 10
JOINS_PER_S = 1500.0
MEASURE_S = 10.0
REST_WITHIN_S = 90.0
"""Time for a run besides joining and measuring; generous, because a busy machine is slow."""
NCHAN_WORKERS = 2
"""As many as the emulator has: one process may not hold all connections."""


class FullScaleResult(NamedTuple):
    """The figures of one run.

    Attributes:
        lost: Deliveries that were owed and did not arrive.
        owed: Deliveries owed while measuring.
        fan_out_p99_ms: Of those that arrived.
        verdict: The harness's verdict on the run.
    """

    lost: int
    owed: int
    fan_out_p99_ms: float
    verdict: str


def full_scale_on_nchan(
    nchan: tuple[Path, Path] | str, subscribers: int, folder: Path
) -> FullScaleResult | str:
    """Run it on server-sent events from nchan; return a string with the reason if that fails."""
    if isinstance(nchan, str):
        return nchan
    try:
        with Nchan(*nchan, folder, subscribers, workers=NCHAN_WORKERS) as server:
            target = folder / "streams.toml"
            target.write_text(NchanStreams(server).target("default"), encoding="utf-8")
            return _run(target, subscribers, folder)
    except (RuntimeError, ProgramError) as error:
        return str(error)


def full_scale_on_emulator(subscribers: int, folder: Path) -> FullScaleResult | str:
    """Run it on the emulated AppSync Events; return a string with the reason if that fails."""
    try:
        return _run(EMULATED, subscribers, folder)
    except ProgramError as error:
        return str(error)


def _run(target: Path, subscribers: int, folder: Path) -> FullScaleResult:
    out = Path(tempfile.mkdtemp(dir=folder, prefix="full-scale-")) / "run"
    values = {
        "population.subscribers": subscribers,
        "population.chatters": CHATTERS,
        "joins.rate_per_s": JOINS_PER_S,
        "joins.retries": 5,
        "phases.settle_s": 2.0,
        "phases.warm_up_s": 2.0,
        "phases.drain_s": 3.0,
        "phases.measure_s": MEASURE_S,
    }
    sets = [text for name, value in values.items() for text in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "harness", "run", str(WORKLOAD), "--target", str(target)]
    program = Program([*command, *sets, "--out", str(out)], folder / f"{out.parent.name}.log")
    try:
        program.wait(math.ceil(subscribers / JOINS_PER_S) + MEASURE_S + REST_WITHIN_S)
        return _result(out / "run.json", program)
    finally:
        program.stop()


def _result(file: Path, program: Program) -> FullScaleResult:
    summary = json.loads(file.read_text("utf-8")).get("summary") if file.exists() else None
    if not summary or not summary["deliveries"]["owed"]:
        raise ProgramError(program.last_output())
    deliveries, latency = summary["deliveries"], summary["fan_out_latency_ms"]
    return FullScaleResult(
        deliveries["lost"], deliveries["owed"], latency["p99"], summary["verdict"]
    )
