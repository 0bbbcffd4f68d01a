"""One ``harness run`` from start to end, with what its ending took by the clock and the kernel."""

import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.programs import Program, ProgramError

BEGUN_WITHIN_S = 60.0
ENDED_WITHIN_S = 180.0
"""After its planned end, on a machine that takes its time."""
LOOK_EVERY_S = 0.5
"""The kernel's table of 35,000 connections takes a tenth of a second to read."""

TIME_WAIT = "06"
OPEN = frozenset(("01", "02", "03", "04", "05", "08", "09", "0B"))
"""States of a connection that has not been closed by both sides. Source: net/tcp_states.h."""
KERNELS_TABLE = Path("/proc/net/tcp")


class EndedRun(NamedTuple):
    """A run that has ended, well or not.

    Attributes:
        folder: Its record.
        run: What ``run.json`` says; empty where there is none.
        exit_code: Of the command.
        last_output: Its last output, for a run without other results.
        closed_s: From the planned end until no connection was open; None if it ended before.
        written_s: From the planned end until the last file of record and report was written.
        ended_s: From the planned end until the command had ended.
        left: What was left of its connections then, but for those that only wait out their time.
        waiting: Those that do: the kernel keeps a pair of ports for a minute.
    """

    folder: Path
    run: Mapping[str, Any]
    exit_code: int
    last_output: str
    closed_s: float | None
    written_s: float | None
    ended_s: float | None
    left: int
    waiting: int

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """What it measured; None for a run that came to nothing."""
        found: Mapping[str, Any] | None = self.run.get("summary")
        return found


def run_to_end(workload: Path, target: Path, settings: Mapping[str, object], out: Path) -> EndedRun:
    """Run a workload against an emulated target to its end.

    Args:
        workload: File of the workload.
        target: File of the target.
        settings: Fields to override.
        out: The run's own folder, to be made.

    Raises:
        ProgramError: If it had to be ended.
    """
    port = _free_port()
    values = {**settings, "target.emulator.port": port}
    command = [sys.executable, "-m", "harness", "run", str(workload), "--target", str(target)]
    command += [text for key, value in values.items() for text in ("--set", f"{key}={value}")]
    out.parent.mkdir(parents=True, exist_ok=True)
    log = out.parent / f"{out.name}.log"
    program = Program([*command, "--out", str(out)], log)
    try:
        end_s = _await_end(out / "run.json", program)
        closed_s = None if end_s is None else _await_closed(port, program, end_s)
        program.wait(ENDED_WITHIN_S)
        ended_s = time.time()
    finally:
        program.stop()
    states = connections(port)
    return EndedRun(
        folder=out,
        run=read_run(out / "run.json"),
        exit_code=program.exit_code or 0,
        last_output=program.last_output(),
        closed_s=closed_s,
        written_s=None if end_s is None else newest_s(out) - end_s,
        ended_s=None if end_s is None else ended_s - end_s,
        left=sum(state != TIME_WAIT for state in states),
        waiting=states.count(TIME_WAIT),
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _await_end(file: Path, program: Program) -> float | None:
    """Return the planned end of the run once it has come, Unix time; None if it ended before."""
    begun_before_s = time.time() + BEGUN_WITHIN_S
    while not (run := read_run(file)):
        if not program.running:
            return None
        if time.time() > begun_before_s:
            raise ProgramError(program.last_output())
        time.sleep(LOOK_EVERY_S)
    end_s = planned_end_s(run)
    while (left_s := end_s - time.time()) > 0:
        if not program.running:
            return None
        time.sleep(min(left_s, LOOK_EVERY_S))
    return end_s


def _await_closed(port: int, program: Program, end_s: float) -> float | None:
    """Return how long after its end a run had no connection open."""
    while time.time() < end_s + ENDED_WITHIN_S:
        looked_s = time.time()
        if not any(state in OPEN for state in connections(port)):
            return looked_s - end_s
        if not program.running:
            break
        time.sleep(LOOK_EVERY_S)
    return None


def read_run(file: Path) -> Mapping[str, Any]:
    """Return what a record says of its run; nothing where there is none yet."""
    try:
        found: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found


def planned_end_s(run: Mapping[str, Any]) -> float:
    """Return when the last phase of a run ends, Unix time."""
    return float(run["epoch_ns"] / 1e9 + run["phases"][-1]["end_s"])


def newest_s(folder: Path) -> float:
    """Return when the last file of a record and its report was written, Unix time.

    Logs do not count, as a process that ends may still say something.
    """
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".log")
    return max(file.stat().st_mtime for file in files)


def connections(port: int, table: Path = KERNELS_TABLE) -> list[str]:
    """Return the state of each end of a TCP connection with a local port that the kernel knows."""
    ending = f":{port:04X}"
    rows = (line.split() for line in table.read_text("ascii").splitlines()[1:])
    return [row[3] for row in rows if ending in (row[1][-5:], row[2][-5:])]
