"""Channel names: grammar, normal form, wildcards.

Source: docs.aws.amazon.com/appsync/latest/eventapi, pages channel-namespaces, event-api-concepts
and create-event-api-tutorial, read November 2026. Undocumented and decided here: a wildcard must
follow a namespace, and ``/default/*`` does not match ``/default`` itself.
"""

import re

from harness.core.channels import WILDCARD
from harness.core.errors import HarnessError
from harness.core.outside_text import outside_text

MAX_SEGMENTS = 5
"""Segments in a channel name. Source: Service Quotas code L-7DE80FA2."""

MAX_SEGMENT_CHARACTERS = 50
"""Characters in a segment. Source: Service Quotas code L-A1CF8F5B."""

Segments = tuple[str, ...]
"""A channel in normal form: its segments, namespace first, a wildcard last."""

_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?")


class ChannelError(HarnessError):
    """A channel name breaks the grammar, or has a wildcard where none may be."""

    def __init__(self, channel: str, found: str, required: str) -> None:
        super().__init__(f"channel {outside_text(channel, 200)!r}", found, required)
        self.channel = channel


def normalise_channel(channel: str) -> Segments:
    """Return the segments of a channel; ``default/a`` and ``/default/a/`` give the same.

    Raises:
        ChannelError: If the name breaks the grammar. A whole last segment ``*`` after a
            namespace is within it; see ``is_wildcard``.
    """
    segments = tuple(channel.removeprefix("/").removesuffix("/").split("/"))
    if len(segments) > MAX_SEGMENTS:
        raise ChannelError(channel, f"{len(segments)} segments", f"at most {MAX_SEGMENTS} allowed")
    plain = segments[:-1] if is_wildcard(segments) else segments
    for segment in plain:
        if not _SEGMENT.fullmatch(segment):
            rule = (
                f"each segment must be 1-{MAX_SEGMENT_CHARACTERS} letters, digits and inner dashes"
            )
            raise ChannelError(channel, f"segment {outside_text(segment, 60)!r}", rule)
    return segments


def is_wildcard(segments: Segments) -> bool:
    """Return whether these segments end in a wildcard that follows a namespace."""
    return len(segments) > 1 and segments[-1] == WILDCARD


def matching_patterns(segments: Segments) -> list[Segments]:
    """Return every subscription that an event on this channel reaches, the exact one first.

    A wildcard matches any depth below its prefix, but not the prefix itself: an event on
    ``default/a/b`` reaches ``default/a/b``, ``default/*`` and ``default/a/*``.
    """
    wildcards = [(*segments[:depth], WILDCARD) for depth in range(1, len(segments))]
    # An event on a wildcard itself, where that is let through, is its own wildcard.
    return list(dict.fromkeys([segments, *wildcards]))


def path(segments: Segments) -> str:
    """Return the channel as the service shows it to handlers: ``/default/a``."""
    return "/" + "/".join(segments)
