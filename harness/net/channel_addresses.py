"""Addresses that name channels: where in them a channel stands, and how several share the place."""

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

CHANNEL = "{channel}"
"""Stands in an address for the channel's path, without the slash at its start."""

_AS_IT_IS = "/*"
"""Characters of a path that need no percent-encoding; the second one is a wildcard's."""


def path_of(address: str) -> str:
    """Return path and query of an address."""
    parts = urlsplit(address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def with_channels(address: str, channels: Sequence[str], separator: str = "") -> str:
    """Return an address, or a path, with channels in their place.

    Args:
        address: With ``{channel}`` once or more, in the path or in the query.
        channels: Their paths, each percent-encoded by itself; a wildcard stays as it is.
        separator: What stands between them, as it is.
    """
    names = separator.join(quote(channel.lstrip("/"), safe=_AS_IT_IS) for channel in channels)
    return address.replace(CHANNEL, names)
