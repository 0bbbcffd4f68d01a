"""``python -m benchmarks``: measure the harness against the floor and against its peers."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TypeVar

from benchmarks import receivers, rows
from benchmarks.full_scale import full_scale_on_emulator, full_scale_on_nchan
from benchmarks.latency import Reported, measure_latency
from benchmarks.memory import Weight, measure_memory
from benchmarks.programs import Program, ProgramError
from benchmarks.receivers import Ours
from benchmarks.senders import (
    NAMESPACES,
    ROOT,
    Emulator,
    Nchan,
    NchanFrames,
    NchanStreams,
    Sender,
    System,
    wait_for,
)
from benchmarks.side_by_side import (
    FAST_PER_S,
    ONCE_A_SECOND_S,
    QUIET_S,
    SLOW_PER_S,
    Contender,
    Pace,
    keep_apart,
    run_rounds,
)
from benchmarks.table import Row, as_text, not_measured, write_json
from benchmarks.tools import WITHOUT_TLS, Tools, find_tools
from benchmarks.tsung import tsung
from harness.measure.environment import describe_environment
from harness.net.ring_reading import receive_path

RESULT = ROOT / "benchmarks/results/latest.json"
ON_NCHAN = ("nchan", "ours_streams", "ours_frames")
"""The receivers that nchan sends to."""
SLOW = frozenset(("k6", "websocket_client", "websockets_sync"))
AnyProgram = TypeVar("AnyProgram", bound=Program)
COHORT = (
    "population.connections_per_user=100",
    # Slowly: what joins take while they are under way leaves holes in the heap, which are more
    # than such a connection weighs where three runs at once have more joins than two cores can do.
    "joins.rate_per_s=400",
)
TLS_JOINS = "joins.rate_per_s=150"  # A handshake costs a core about a millisecond; three runs join.


@dataclass(frozen=True, slots=True)
class Size:
    """How large and how long.

    Attributes:
        connections: Connections of each receiver; thirteen of them are connected at once.
        rounds: Turns of each receiver.
        turn_s: How long messages are sent in a turn.
        weighed: Subscribers of the runs whose memory is compared.
        weighed_tls: The same over TLS.
        weighed_cohort: The same, 100 to a Locust user.
        many: Subscribers of the run in which latency is measured.
        pairs: Messages of that run with extra work.
        full_scale: Subscribers of the runs on two systems.
        fetch_s: How long fetching the peers may take.
    """

    connections: int
    rounds: int
    turn_s: float
    weighed: tuple[int, ...]
    weighed_tls: tuple[int, ...]
    weighed_cohort: tuple[int, ...]
    many: int
    pairs: int
    full_scale: int
    fetch_s: float


FULL = Size(
    connections=500,
    rounds=8,
    turn_s=2.0,
    weighed=(1000, 2000, 4000),
    weighed_tls=(300, 600, 1200),
    weighed_cohort=(2000, 4000, 8000),
    many=5000,
    pairs=60,
    full_scale=30_000,
    fetch_s=600.0,
)
QUICK = Size(
    connections=400,
    rounds=4,
    turn_s=1.0,
    weighed=(500, 1000, 2000),
    weighed_tls=(150, 300, 600),
    weighed_cohort=(1000, 2000, 5000),
    many=2500,
    pairs=24,
    full_scale=2000,
    fetch_s=90.0,
)


def main() -> int:
    """Measure everything, print the table, write the JSON; 0 if all available ones were.

    A tool that is not available is no failure; one that could not be measured is.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter, as for CI")
    parser.add_argument("--out", type=Path, default=RESULT, help="file to write the JSON to")
    arguments = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _leave)
    size = QUICK if arguments.quick else FULL
    started = time.monotonic()
    machine = describe_environment()
    del machine["host"]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as place:
        result, unavailable = measure(size, Path(place))
    machine["receive_path"] = receive_path()
    machine["quick"] = arguments.quick
    machine["seconds"] = round(time.monotonic() - started, 1)
    machine["load_average_at_end"] = list(os.getloadavg())
    write_json(result, machine, arguments.out)
    print(as_text(result))
    print(f"\n{machine['seconds']:.0f} s; written to {arguments.out}")
    failed = not_measured(result, unavailable)
    for row in failed:
        print(f"error: {row.name}: could not be measured: {row.missing}", file=sys.stderr)
    return 1 if failed else 0


def _leave(_signum: int, _frame: FrameType | None) -> None:
    """End as at Ctrl-C, so that everything started is stopped."""
    raise KeyboardInterrupt


def measure(size: Size, folder: Path) -> tuple[list[Row], frozenset[str]]:
    """Return all rows, and why tools are missing; whatever is started is stopped again."""
    with ThreadPoolExecutor() as pool:
        # Fetching takes up to a minute the first time; weighing does not mind the company.
        fetching = pool.submit(find_tools, folder, size.fetch_s)
        _say("memory: plain, in cohorts and over TLS; fetching the receivers meanwhile")
        weights = (
            _weigh(size.weighed, folder),
            _weigh(size.weighed_tls, folder, TLS_JOINS, tls=True),
            _weigh(size.weighed_cohort, folder, *COHORT),
        )
        tools = fetching.result()
    with ExitStack() as stack:
        contenders = SideBySide(tools, size, folder, stack).run()
    result = [
        *rows.receiving(contenders),
        *rows.memory(*weights),
        *rows.latency(_report(size, folder)),
        rows.sending(contenders),
        *_full_scale(tools.nchan, size.full_scale, folder),
    ]
    return result, tools.reasons


def _full_scale(nchan: tuple[Path, Path] | str, subscribers: int, folder: Path) -> list[Row]:
    _say(f"{subscribers} subscribers of nchan, then of the emulator")
    streams = full_scale_on_nchan(nchan, subscribers, folder)
    return rows.full_scale(streams, full_scale_on_emulator(subscribers, folder), subscribers)


def _weigh(
    sizes: tuple[int, ...], folder: Path, *overrides: str, tls: bool = False
) -> Weight | str:
    with Emulator(folder, tls=tls) as emulator:
        return measure_memory(emulator, sizes, folder, overrides)


def _report(size: Size, folder: Path) -> Reported | str:
    _say(f"{size.many} subscribers, with 60 µs of work added to every other message")
    try:
        with Emulator(folder, tls=False) as emulator:
            return measure_latency(emulator, size.many, size.pairs, folder)
    except ProgramError as error:
        return str(error)


class SideBySide:
    """All receivers at once, each with its turn.

    Args:
        tools: What there is to run.
        size: How large and how long.
        folder: For logs.
        stack: Stops what this starts.
    """

    def __init__(self, tools: Tools, size: Size, folder: Path, stack: ExitStack) -> None:
        self._tools = tools
        self._size = size
        self._folder = folder
        self._stack = stack
        self._plain = stack.enter_context(Emulator(folder, tls=False))
        self._tls = stack.enter_context(Emulator(folder, tls=True))
        self._lanes: dict[str, Contender | str] = {}

    def run(self) -> dict[str, Contender | str]:
        """Return every receiver, measured, or why it is missing."""
        size = self._size
        self._start_all()
        _say(f"waiting for {size.connections} connections of each of {len(self._lanes)} receivers")
        self._wait_joined()
        contenders = [
            contender for contender in self._lanes.values() if isinstance(contender, Contender)
        ]
        for contender in contenders:
            try:
                if isinstance(contender.program, Ours):
                    contender.run_id = contender.program.run_id()
                contender.check()
            except (ProgramError, RuntimeError) as error:
                contender.missing = str(error)
        measurable = [contender for contender in contenders if not contender.missing]
        keep_apart(
            list({id(contender.sender): contender.sender for contender in measurable}.values()),
            [contender.program for contender in measurable],
        )
        _say(f"{size.rounds} rounds of {len(measurable)} receivers")
        run_rounds(measurable, size.rounds)
        for contender in measurable:
            rows.check_count(contender)
        return self._lanes

    def _start_all(self) -> None:
        tools = self._tools
        # What is compared most closely has its turns next to each other.
        self._add_nchan()
        self._add("floor", self._plain, tools.floor, receivers.floor)
        self._add_ours("ours", self._plain, self._plain)
        self._add("artillery", self._plain, tools.artillery, receivers.artillery)
        self._add("tsung", self._plain, tools.tsung, tsung)
        self._add_ours("ours_tls", self._tls, self._tls)
        tls_floor = tools.floor if tools.floor_speaks_tls else WITHOUT_TLS
        if isinstance(tools.floor, str):
            tls_floor = tools.floor
        self._add("floor_tls", self._tls, tls_floor, receivers.floor)
        self._add("k6", self._plain, tools.k6, receivers.k6)
        self._add(
            "websocket_client", self._plain, tools.websocket_client, receivers.websocket_client
        )
        self._add("websockets_sync", self._plain, ROOT, receivers.websockets_sync)

    def _add_ours(
        self, name: str, system: System, sender: Sender, namespace: str = "default"
    ) -> None:
        count = self._size.connections
        program = self._start(Ours(system, count, self._folder, namespace=namespace))
        pace = Pace(FAST_PER_S, self._size.turn_s, ONCE_A_SECOND_S)
        self._lanes[name] = Contender(name, sender, program.channel, program, count, pace)

    def _add(
        self,
        name: str,
        emulator: Emulator,
        tool: Path | str,
        start: Callable[[Path, Emulator, str, int, Path], Program],
    ) -> None:
        if isinstance(tool, str):
            self._lanes[name] = tool
            return
        channel = f"/default/{name.replace('_', '-')}"
        program = self._start(start(tool, emulator, channel, self._size.connections, self._folder))
        pace = Pace(SLOW_PER_S if name in SLOW else FAST_PER_S, self._size.turn_s, QUIET_S)
        self._lanes[name] = Contender(
            name, emulator, channel, program, self._size.connections, pace
        )

    def _add_nchan(self) -> None:
        nchan, program = self._tools.nchan, self._tools.floor
        if isinstance(nchan, str) or isinstance(program, str):
            self._lanes |= dict.fromkeys(
                ON_NCHAN, nchan if isinstance(nchan, str) else str(program)
            )
            return
        count = self._size.connections
        try:
            server = self._stack.enter_context(Nchan(*nchan, self._folder, count))
        except RuntimeError as error:
            self._lanes |= dict.fromkeys(ON_NCHAN, str(error))
            return
        receiver = self._start(receivers.floor_on_nchan(program, server, count, self._folder))
        pace = Pace(FAST_PER_S, self._size.turn_s, QUIET_S)
        channel = receivers.NCHAN_CHANNEL
        self._lanes["nchan"] = Contender("nchan", server, channel, receiver, count, pace)
        streams, frames = NchanStreams(server), NchanFrames(server)
        self._add_ours("ours_streams", streams, streams)
        self._add_ours("ours_frames", frames, frames, NAMESPACES[0])

    def _start(self, program: AnyProgram) -> AnyProgram:
        self._stack.callback(program.kill)
        return program

    def _wait_joined(self) -> None:
        """Wait for as long as receivers still join; who has not is found out later."""
        contenders = [
            contender for contender in self._lanes.values() if isinstance(contender, Contender)
        ]
        for pids in {tuple(contender.sender.pids()) for contender in contenders}:
            own = [contender for contender in contenders if tuple(contender.sender.pids()) == pids]
            wait_for(own[0].sender, partial(_wanted, own))
        time.sleep(1.0)


def _wanted(contenders: Sequence[Contender]) -> int:
    """Return how many connections the receivers still running should hold."""
    return sum(contender.connections for contender in contenders if contender.program.running)


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
