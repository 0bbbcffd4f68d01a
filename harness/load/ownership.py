"""Refuses load on a target that is not on the owner's allow-list.

This machine is always allowed. Other hosts must be on the user's list, ``owned-targets`` in the
configuration folder: one host per line, ``*`` for any part but not for the whole.
``HARNESS_OWNED_TARGETS`` adds hosts, separated by commas, and a flag of the run adds its target to
the list.
"""

import contextlib
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from harness.core.errors import MachineError
from harness.core.hosts import is_loopback
from harness.scenario.target import Target, addresses_of

VARIABLE = "HARNESS_OWNED_TARGETS"
FLAG = "--i-own-this-target"


def list_file() -> Path:
    """Return where the list is. Source: XDG Base Directory Specification 0.8."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "fanout-harness" / "owned-targets"


def require_owned(target: Target, *, stated: bool) -> None:
    """Return if load on a target is allowed.

    Args:
        target: An emulated one is always allowed.
        stated: Whether the user declares the target as theirs, which adds it to the list.

    Raises:
        MachineError: If a host is not on the list.
    """
    unknown = [host for host in _hosts(target) if not _is_owned(host)]
    if unknown and stated and not any("*" in host for host in unknown):
        _remember(unknown)
    elif unknown:
        raise MachineError(
            f"target {target.name}",
            f"{' and '.join(unknown)} is not on the list of systems that you own",
            "load is allowed on those only",
            f"if you may test it, pass {FLAG} once; the list is {list_file()}",
        )


def _hosts(target: Target) -> list[str]:
    hosts = ((urlsplit(each).hostname or "").lower() for each in addresses_of(target))
    return list(dict.fromkeys(hosts))


def may_load(target: Target, host: str) -> bool:
    """Return whether load is allowed on a host to which a target redirects."""
    return host in _hosts(target) or _is_owned(host)


def _is_owned(host: str) -> bool:
    return is_loopback(host) or any(fnmatchcase(host, pattern) for pattern in _patterns())


def _patterns() -> Iterator[str]:
    lines = os.environ.get(VARIABLE, "").split(",")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        lines += list_file().read_text(encoding="utf-8").splitlines()
    for line in lines:
        pattern = line.partition("#")[0].strip().lower()
        if pattern.strip("*?."):  # A pattern of wildcards alone would name every host.
            yield pattern


def _remember(hosts: list[str]) -> None:
    file = list_file()
    with contextlib.suppress(OSError):  # Then the flag is needed next time too.
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as kept:
            kept.writelines(f"{host}\n" for host in hosts)
