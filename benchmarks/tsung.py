"""Tsung as a receiver: one Erlang machine without a node name, so that no epmd daemon is needed."""

import string
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.programs import Program
from benchmarks.receivers import PEERS
from benchmarks.senders import Emulator


def tsung(root: Path, emulator: Emulator, channel: str, connections: int, folder: Path) -> Program:
    """Start it: one user a connection.

    Args:
        root: Below which Debian's packages are unpacked.
        emulator: What it joins.
        channel: What it listens on.
        connections: How many.
        folder: For its files.
    """
    place = folder / "tsung"
    (place / "log").mkdir(parents=True)
    scenario = _scenario(root, emulator, channel, connections)
    (place / "tsung.xml").write_text(scenario, encoding="utf-8")
    erlang = root / "usr/lib/erlang"
    binaries = next(erlang.glob("erts-*/bin"))
    # As Debian's script starts it, less the node name and the web page.
    command = [str(binaries / "erlexec"), "-noinput", "+A", "8", "+K", "true", "+P", "250000"]
    command += ["-s", "tsung_controller", "-sasl", "sasl_error_logger", "false"]
    for modules in sorted(root.glob("usr/lib/*/tsung/tsung*/ebin")):
        command += ["-pa", str(modules)]
    settings = {
        "web_gui": "false",
        "keep_web_gui": "false",
        "smp_disable": "true",
        "debug_level": "5",
        "warm_time": "1",
        "exclude_tag": '""',
        "config_file": f'"{place}/tsung.xml"',
        "log_dir": f'"{place}/log/"',
        "mon_file": '"tsung.log"',
    }
    for name, value in settings.items():
        command += ["-tsung_controller", name, value]
    environment = {
        "ROOTDIR": str(erlang),
        "BINDIR": str(binaries),
        "EMU": "beam",
        "PROGNAME": "erl",
    }
    environment |= {"HOME": str(place), "ERL_CRASH_DUMP_SECONDS": "0"}
    return Program(command, folder / "tsung.log", environment)


def _scenario(root: Path, emulator: Emulator, channel: str, connections: int) -> str:
    init, subscribe = emulator.texts(channel)
    values = {
        "dtd": root / "usr/share/tsung/tsung-1.0.dtd",
        "port": emulator.port,
        "subprotocols": ", ".join(emulator.subprotocols),
        "connections": connections,
        "arrivals_per_s": connections / 4,
        "init": init,
        "subscribe": subscribe,
    }
    template = string.Template((PEERS / "tsung.xml").read_text("utf-8"))
    quote = {'"': "&quot;"}
    return template.substitute({name: escape(str(value), quote) for name, value in values.items()})
