"""Addresses of a target: ``${NAME}`` in them, and what in them is secret."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from harness.core.outside_text import register_secret
from harness.core.secrets import PLACEHOLDER

_AUTHORITY = re.compile("[^/]*://[^/]+/")
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")


def without_password(address: str) -> str:
    """Return an address with ``user:password@`` masked."""
    return _USER_INFO.sub("***@", address)


def host_of(address: str) -> str:
    """Return host and port of an address, without user and password; empty where it has none."""
    try:
        return urlsplit(address).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def register_address(written: str, address: str) -> None:
    """Register the secrets of an address: its password, and variables outside of its host.

    Of a variable that holds the whole address, its query is secret.

    Args:
        written: As the file has it; empty where it names no variable.
        address: With the values of the variables.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # Not an address; another check says so.
        return
    if parts.password:
        register_secret("PASSWORD", parts.password)
        register_secret("PASSWORD", unquote(parts.password))
    for name, value in _values(written, address).items():
        if "://" in value:
            for _, each in parse_qsl(parts.query):
                register_secret(name, each)
        elif value not in (parts.hostname or "") and value not in parts.netloc.rpartition("@")[2]:
            register_secret(name, value)


def _values(written: str, address: str) -> dict[str, str]:
    """Return what each variable stands for, read from both forms of the address."""
    texts_and_names = PLACEHOLDER.split(written)
    authority = _AUTHORITY.match(written)
    in_authority = len(PLACEHOLDER.findall(authority[0])) if authority else 0
    pattern = ""
    for place, text in enumerate(texts_and_names[::2]):
        value = "([^/]*)" if place <= in_authority else "(.*)"
        pattern += (value if place else "") + re.escape(text)
    found = re.fullmatch(pattern, address, re.DOTALL)
    return dict(zip(texts_and_names[1::2], found.groups(), strict=True)) if found else {}
