"""What ``harness emulate`` prints for people: where it serves, and settings to paste."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.hosts import is_loopback
from harness.scenario.emulator import STATS_PATH

if TYPE_CHECKING:
    from harness.cli.emulated_api import Api, Emulated

KEY_VARIABLE = "EMULATOR_API_KEY"
KEEP = "--set target.emulator.certificate_folder=DIR"


def page(api: "Api", emulated: "Emulated") -> str:
    """Return the whole page of one API that serves."""
    count = len(emulated.pids)
    processes = "1 process" if count == 1 else f"{count} processes"
    ca_file = Path(emulated.ca_file) if emulated.ca_file else None
    facts = {
        "publish": emulated.http,
        "realtime": emulated.realtime,
        "API key": emulated.api_key,
        "authority": emulated.ca_file,
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
    blocks = [f"{title}\n\n{_indented(text)}" for title, text in settings.items()]
    return "\n\n".join(["\n".join(lines), *blocks])


def _optional(api: "Api", function: str, *arguments: object) -> Any:
    """Return what a function of the emulator's module says; None where it has no such function."""
    found = getattr(api.system, function, None)
    return found(*arguments) if found else None


def warning(api: "Api") -> str:
    """Return a warning where others than this machine can connect; empty where they cannot."""
    options = api.target.emulator
    if options is None or is_loopback(options.host):
        return ""
    readable = "" if options.tls else " Without TLS its keys can be read on the way."
    return (
        f"WARNING: {api.target.name} listens on {options.host}, which is not loopback.\n"
        "Everybody who reaches this machine can connect, read its counts, change its faults and "
        f"have it issue tokens.{readable}\n"
        "Never give it a key that lets anyone in anywhere else."
    )


def _trust(api: "Api", emulated: "Emulated") -> dict[str, str]:
    """Return how clients are told to trust the certificate, where there is one."""
    ca_file, options = emulated.ca_file, api.target.emulator
    if ca_file is None:
        return {}
    kept = options is not None and options.certificate_folder
    again = "the same at the next start" if kept else f"new at each start unless {KEEP}"
    lines = (
        f"export NODE_EXTRA_CA_CERTS={ca_file}  # Node.js, before it starts",
        f"export SSL_CERT_FILE={ca_file}  # OpenSSL, Python, Go; they then trust nothing else",
        f"curl --cacert {ca_file} …",
    )
    return {f"To trust its certificate ({again}):": "\n".join(lines)}


def _target(api: "Api", emulated: "Emulated") -> dict[str, str]:
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


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
