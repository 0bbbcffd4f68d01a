"""Which hosts are this machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit

LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean all interfaces, with the loopback address that reaches them from here."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to a host; of names, only localhost is sure."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_here(address: str) -> bool:
    """Return whether the host of a URL is this machine."""
    return is_loopback(urlsplit(address).hostname or "")


def is_ipv4_loopback(host: str) -> bool:
    """Return whether a host is an address of 127.0.0.0/8, all of which this machine can use."""
    return host.startswith("127.")


def authority(host: str, port: int) -> str:
    """Return host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
