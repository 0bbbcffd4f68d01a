"""Channel names, and wildcards that stand for many channels.

``default/*`` stands for every channel that begins with ``default/``, at any depth, and not for
``default`` itself. The rule is one for emulators, for the live view and for the run record. A
listener that names a channel several times is owed each of its messages once.
"""

from collections.abc import Collection, Sequence
from urllib.parse import unquote

CHANNEL_SEPARATOR = ","
"""Stands between several channels in one address, unless a target says otherwise."""

WILDCARD = "*"
_WILDCARD_END = "/" + WILDCARD


def channels_in(text: str) -> tuple[str, ...]:
    """Return the channels that a piece of an address names, each once, in their order.

    The text is still percent-encoded; an encoded separator is part of a name.
    """
    return tuple(dict.fromkeys(map(unquote, text.split(CHANNEL_SEPARATOR))))


def is_wildcard(name: str) -> bool:
    """Return whether a name stands for many channels; nothing can be published to it."""
    return name == WILDCARD or name.endswith(_WILDCARD_END)


def names_of(channel: str) -> list[str]:
    """Return every name that stands for a channel: its own, then wildcards, the nearest first.

    An event on ``default/a/b`` reaches those who named it, ``default/a/*``, ``default/*`` or
    ``*``.
    """
    segments = channel.split("/")
    above = ["/".join([*segments[:depth], WILDCARD]) for depth in range(len(segments))]
    return list(dict.fromkeys([channel, *reversed(above)]))


def own_name(name: str, chatter: int) -> str:
    """Return what the messages of one chatter are called among those of a channel or wildcard.

    No channel has a space in its name.
    """
    return f"{name} {chatter}"


def channels_named(names: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the known channels that any of a listener's names stands for, each once."""
    if not any(map(is_wildcard, names)):
        return [name for name in names if name in known]
    wanted = frozenset(names)
    return [channel for channel in known if not wanted.isdisjoint(names_of(channel))]
