"""Several channels of one listener, and names that stand for many: how our emulators read them.

Decided here, for systems whose channels are a service's own: ``default/*`` stands for every channel
that begins with ``default/``, however deep, and not for ``default`` itself. Whoever listens to a
channel by several names at once is told of it once.
"""

from collections.abc import Collection, Sequence
from urllib.parse import unquote

from harness.scenario.client_options import CHANNEL_SEPARATOR

WILDCARD = "*"
_WILDCARD_END = "/" + WILDCARD


def channels_in(text: str) -> tuple[str, ...]:
    """Return the channels that a piece of an address names, each once, in their order.

    Args:
        text: As it came, percent-encoded: a separator within a name is encoded, and so is none.
    """
    return tuple(dict.fromkeys(map(unquote, text.split(CHANNEL_SEPARATOR))))


def is_wildcard(name: str) -> bool:
    """Say whether a name stands for many channels; nothing can be published to it."""
    return name == WILDCARD or name.endswith(_WILDCARD_END)


def names_of(channel: str) -> list[str]:
    """Return every name by which a listener is told of a channel, its own first.

    An event on ``default/a/b`` is heard by those who named it, ``default/a/*``, ``default/*``
    or ``*``.
    """
    segments = channel.split("/")
    above = ["/".join([*segments[:depth], WILDCARD]) for depth in range(len(segments))]
    return list(dict.fromkeys([channel, *reversed(above)]))


def channels_named(names: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the channels that any of these names stands for, each once.

    Args:
        names: What a listener named.
        known: The channels there are; looked through only where a name is a wildcard.
    """
    if not any(map(is_wildcard, names)):
        return [name for name in names if name in known]
    wanted = frozenset(names)
    return [channel for channel in known if not wanted.isdisjoint(names_of(channel))]
