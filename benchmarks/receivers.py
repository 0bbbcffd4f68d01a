"""The receivers: the harness, the floor, and other tools."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.programs import Program, ProgramError
from benchmarks.senders import KEY_VARIABLE, ROOT, Emulator, Nchan, System
from harness.cli.options import PACKAGED_LOCUSTFILE as LOCUSTFILE

PEERS = ROOT / "benchmarks/peers"
RECORD_WITHIN_S = 60.0
NCHAN_CHANNEL = "room"


class Ours(Program):
    """The harness itself: a Locust process that runs the packaged locustfile.

    Its subscribers listen on ``/<namespace>/room-0``. The run is ended by ``kill``: its record
    is not wanted.

    Args:
        system: What it joins.
        connections: How many users, one connection each.
        folder: For its files.
        namespace: First segment of its channel.
        overrides: Further fields of the workload, as ``--set`` takes them.
        locustfiles: Locustfiles besides the packaged one.
        environment: Variables it gets besides ours.
    """

    def __init__(
        self,
        system: System,
        connections: int,
        folder: Path,
        *,
        namespace: str = "default",
        overrides: Sequence[str] = (),
        locustfiles: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        place = Path(tempfile.mkdtemp(dir=folder, prefix="ours-"))
        target = place / "target.toml"
        target.write_text(system.target(namespace), encoding="utf-8")
        self.channel = f"/{namespace}/room-0"
        self._record = place / "record"
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
        command += ["-f", ",".join(map(str, (LOCUSTFILE, *locustfiles)))]
        command += ["--workload", str(ROOT / "benchmarks/workload.toml")]
        command += ["--target", str(target), "--out", str(self._record)]
        for override in (f"population.subscribers={connections - 1}", *overrides):
            command += ["--set", override]
        variables = {KEY_VARIABLE: system.api_key, **(environment or {})}
        super().__init__(command, place / "locust.log", variables)

    def run_id(self) -> str:
        """Return the run's id; its messages must carry it.

        Raises:
            ProgramError: If the run did not begin in time.
        """
        deadline = time.monotonic() + RECORD_WITHIN_S
        while time.monotonic() < deadline and self.running:
            if (self._record / "run.json").exists():
                return str(json.loads((self._record / "run.json").read_text("utf-8"))["run_id"])
            time.sleep(0.05)
        raise ProgramError(self.last_output())

    def deliveries(self) -> int:
        """Return the deliveries that its ledger has counted, up to a second or two ago.

        Raises:
            ProgramError: If the run has ended meanwhile, and its journal with it.
        """
        journal = self._record / "journal/timeline.jsonl"
        if not journal.exists():
            raise ProgramError(f"the run ended before its time: {self.last_output()}")
        whole_lines = journal.read_text("utf-8").rpartition("\n")[0].splitlines()
        return sum(json.loads(line)["deliveries"] for line in whole_lines)


def floor(
    program: Path, emulator: Emulator, channel: str, connections: int, folder: Path
) -> Program:
    """Start the C receiver on the emulator."""
    place = [emulator.host, str(emulator.port), "/event/realtime", str(connections)]
    manner = [", ".join(emulator.subprotocols), "TLS" if emulator.ca_file else "PLAIN"]
    log = folder / f"floor-{manner[1]}.log"
    return Program([str(program), *place, *manner, *emulator.texts(channel)], log)


def floor_on_nchan(program: Path, nchan: Nchan, connections: int, folder: Path) -> Program:
    """Start the C receiver on nchan."""
    place = [nchan.host, str(nchan.port), f"/sub/{NCHAN_CHANNEL}", str(connections)]
    return Program([str(program), *place, "-", "PLAIN"], folder / "floor-nchan.log")


def _environment(emulator: Emulator, channel: str, connections: int) -> dict[str, str]:
    """Return the environment in which the peers' scripts find what they need."""
    return {
        "URL": emulator.realtime,
        "SUBPROTOCOLS": ", ".join(emulator.subprotocols),
        "TEXTS": json.dumps(emulator.texts(channel)),
        "CONNECTIONS": str(connections),
    }


def k6(program: Path, emulator: Emulator, channel: str, connections: int, folder: Path) -> Program:
    """Start k6: one virtual user a connection, as it is meant to be used."""
    command = [str(program), "run", "--quiet", "--no-usage-report", "--address", ""]
    environment = _environment(emulator, channel, connections)
    return Program([*command, str(PEERS / "k6.js")], folder / "k6.log", environment)


def artillery(
    program: Path, emulator: Emulator, channel: str, connections: int, folder: Path
) -> Program:
    """Start Artillery, with one worker thread and a hook on every message."""
    overrides = {"config": {"phases": [{"duration": 4, "arrivalCount": connections}]}}
    command = [str(program), "run", "--quiet", "--overrides", json.dumps(overrides)]
    environment = _environment(emulator, channel, connections)
    environment |= {"WORKERS": "1", "ARTILLERY_DISABLE_TELEMETRY": "true"}
    return Program([*command, str(PEERS / "artillery.yml")], folder / "artillery.log", environment)


def websocket_client(
    folder_of_it: Path, emulator: Emulator, channel: str, connections: int, folder: Path
) -> Program:
    """Start a plain Locust whose users listen through websocket-client."""
    path = os.pathsep.join(filter(None, (str(folder_of_it), os.environ.get("PYTHONPATH"))))
    environment = _environment(emulator, channel, connections) | {"PYTHONPATH": path}
    return _locust("locust_websocket_client.py", connections, environment, folder)


def websockets_sync(
    _: Path, emulator: Emulator, channel: str, connections: int, folder: Path
) -> Program:
    """Start a plain Locust whose users listen through ``websockets.sync``."""
    environment = _environment(emulator, channel, connections)
    return _locust("locust_websockets_sync.py", connections, environment, folder)


def _locust(script: str, connections: int, environment: Mapping[str, str], folder: Path) -> Program:
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
    command += ["-f", str(PEERS / script), "-u", str(connections), "-r", str(connections / 4)]
    return Program(command, folder / f"{Path(script).stem}.log", environment)
