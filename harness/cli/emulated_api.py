"""An emulator that serves: what plays it, and what its clients need to know."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from harness.core.hosts import LOOPBACK_OF
from harness.core.system import system_named

if TYPE_CHECKING:
    from harness.emulation.processes import EmulatorProcesses
    from harness.scenario.emulator import Emulator
    from harness.scenario.target import Target


class Emulated(NamedTuple):
    """A running emulator as clients need to know it; with ``--json``, this is what is printed.

    Attributes:
        http: Address for publishing over HTTP.
        realtime: Address that subscribers connect to.
        ca_file: PEM of the authority to trust; None without TLS.
        pids: The processes that serve.
        api_key: A key it lets in.
    """

    http: str
    realtime: str
    ca_file: str | None
    pids: list[int]
    api_key: str


class Api(NamedTuple):
    """One emulator that serves.

    Attributes:
        file: Its target file, which is read again when it shall reload; a run's is not.
        target: What that said.
        system: The module that plays the system.
        processes: Those that serve.
    """

    file: Path
    target: "Target"
    system: Any
    processes: "EmulatorProcesses"


def options_of(target: "Target") -> "Emulator":
    """Return the emulator's options of a target that is emulated."""
    return cast("Emulator", target.emulator)  # Validated: the target is emulated.


def describe(api: Api) -> Emulated:
    """Return what clients need to know of a running emulator."""
    from harness.emulation.certificate import CA_FILE, kept_certificate

    options, port = options_of(api.target), api.processes.port
    host = LOOPBACK_OF.get(options.host, options.host)
    host = f"[{host}]" if ":" in host else host
    ca_file = api.processes.folder / CA_FILE
    if options.certificate_folder:
        ca_file = kept_certificate(options.certificate_folder).ca_file
    encrypted, plain = system_named(api.target.system).realtime_schemes
    scheme = encrypted if options.tls else plain
    realtime_port = api.processes.realtime_port or port
    return Emulated(
        http=f"http{'s' if options.tls else ''}://{host}:{port}{api.system.HTTP_PATH}",
        realtime=f"{scheme}://{host}:{realtime_port}{api.system.REALTIME_PATH}",
        ca_file=str(ca_file) if options.tls else None,
        pids=api.processes.pids,
        api_key=options.client_key,
    )
