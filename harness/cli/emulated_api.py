"""A running emulator: what its clients need to know, and what ``harness emulate`` prints."""

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from harness.core.hosts import LOOPBACK_OF, is_loopback
from harness.core.system import system_named

if TYPE_CHECKING:
    from harness.emulation.processes import EmulatorProcesses
    from harness.scenario.emulator import Emulator
    from harness.scenario.target import Target

KEY_VARIABLE = "EMULATOR_API_KEY"
KEEP = "--set target.emulator.certificate_folder=DIR"


class Emulated(NamedTuple):
    """What clients need to know of a running emulator; also the output of ``--json``.

    Attributes:
        http: Address for publishing over HTTP.
        realtime: Address that subscribers connect to.
        ca_file: PEM file of the certificate authority to trust; None without TLS.
        pids: The processes that serve.
        api_key: A key that it accepts.
    """

    http: str
    realtime: str
    ca_file: str | None
    pids: list[int]
    api_key: str


class Api(NamedTuple):
    """One running emulator.

    Attributes:
        file: Its target file, read again on reload; not for the emulator of a run.
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


def page(api: Api, emulated: Emulated) -> str:
    """Return the description of a running emulator, with settings to paste."""
    from harness.scenario.emulator import STATS_PATH

    count = len(emulated.pids)
    processes = "1 process" if count == 1 else f"{count} processes"
    ca_file = Path(emulated.ca_file) if emulated.ca_file else None
    facts = {
        "publish": emulated.http,
        "realtime": emulated.realtime,
        "API key": emulated.api_key,
        "CA file": emulated.ca_file,
        "try it": _optional(api, "try_it", emulated.http, emulated.api_key, ca_file),
        "counts": emulated.http.removesuffix(api.system.HTTP_PATH) + STATS_PATH,
    }
    lines = [
        f"{api.target.name} serves in {processes}; Ctrl-C stops it.",
        *(f"  {name:<10} {fact}" for name, fact in facts.items() if fact),
    ]
    settings = {
        **_trust(api, emulated),
        **(_optional(api, "client_settings", api.target.emulator, emulated.http) or {}),
        **_target(api, emulated),
    }
    blocks = [f"{title}\n\n{indent(text, '  ')}" for title, text in settings.items()]
    return "\n\n".join(["\n".join(lines), *blocks])


def _optional(api: Api, function: str, *arguments: object) -> Any:
    """Call a method of the emulator's class; return None where it has no such method."""
    found = getattr(api.system, function, None)
    return found(*arguments) if found else None


def warning(api: Api) -> str:
    """Return a warning where other machines can connect; empty where they cannot."""
    options = api.target.emulator
    if options is None or is_loopback(options.host):
        return ""
    readable = "" if options.tls else " Without TLS its keys are sent in plain text."
    return (
        f"WARNING: {api.target.name} listens on {options.host}, which is not loopback.\n"
        "Anyone who can reach this machine can connect, read its counts, change its faults and "
        f"have tokens issued.{readable}\n"
        "Never use a key here that is valid for another system."
    )


def _trust(api: Api, emulated: Emulated) -> dict[str, str]:
    """Return how clients are configured to trust the certificate, if there is one."""
    ca_file, options = emulated.ca_file, api.target.emulator
    if ca_file is None:
        return {}
    kept = options is not None and options.certificate_folder
    validity = "kept between starts" if kept else f"new at each start unless {KEEP}"
    lines = (
        f"export NODE_EXTRA_CA_CERTS={ca_file}  # Node.js, before it starts",
        f"export SSL_CERT_FILE={ca_file}  # OpenSSL, Python, Go; they then trust nothing else",
        f"curl --cacert {ca_file} …",
    )
    return {f"To trust its certificate ({validity}):": "\n".join(lines)}


def _target(api: Api, emulated: Emulated) -> dict[str, str]:
    """Return a target file for runs against this emulator."""
    if not emulated.api_key:
        return {}
    lines = [
        f"# export {KEY_VARIABLE}={emulated.api_key}",
        'name = "running-emulator"',
        f'system = "{api.target.system}"',
        "",
        "[endpoints]",
        f'http = "{emulated.http}"',
        f'realtime = "{emulated.realtime}"',
        "",
        "[auth]",
        f'api_key_env = "{KEY_VARIABLE}"',
    ]
    if emulated.ca_file:
        lines += ["", "[tls]", f'ca_file = "{emulated.ca_file}"']
    return {"As a target of the harness (TOML):": "\n".join(lines)}
