"""Refuses load on a target that is not on the owner's allow-list.

This machine is always allowed. Other hosts must be on the user's list, ``owned-targets`` in the
configuration folder: one host per line, ``*`` for any part but not for the whole.
``HARNESS_OWNED_TARGETS`` adds hosts, separated by commas, and a flag of the run adds its target to
the list.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from harness.core.errors import MachineError
from harness.core.hosts import is_loopback
from harness.net.addresses import origin
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


def may_load(own: Iterable[str], address: str) -> bool:
    """Return whether load is allowed where a target redirects to.

    Args:
        own: The target's addresses.
        address: Where it redirects to. What else listens on this machine is not the target's:
            there it must be on one of the target's ports, or its host on the list.
    """
    _, host, port = origin(address)
    if _is_listed(host):
        return True
    places = {(found, number) for _, found, number in map(origin, own)}
    if is_loopback(host):
        return any(is_loopback(found) and number == port for found, number in places)
    return any(found == host for found, _ in places)


def _is_owned(host: str) -> bool:
    return is_loopback(host) or _is_listed(host)


def _is_listed(host: str) -> bool:
    return any(fnmatchcase(host, pattern) for pattern in _patterns())


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
