"""When the connections of a worker begin and cease to be owed messages, for the run as it goes.

The record's own ledger is worked out from the connections table, which is complete only after the
end. These notes let the master keep an account of the same kind meanwhile.
"""

from collections import defaultdict

Edges = dict[str, tuple[list[int], list[int]]]
"""By channel: run-clock ns from which connections are owed, and from which they are no longer."""


class SubscriptionIntervals:
    """What has changed since the last ``take``."""

    def __init__(self) -> None:
        self._edges: defaultdict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))

    def opened(self, channel: str, from_ns: int) -> None:
        """Note a subscription that is owed what is sent from ``from_ns`` on, run clock."""
        self._edges[channel][0].append(from_ns)

    def closed(self, channel: str, from_ns: int, until_ns: int) -> None:
        """Note the end of one that was opened; it may come before it had settled.

        Args:
            channel: Path of its channel.
            from_ns: As given to ``opened``.
            until_ns: Run clock from which it is owed nothing any more.
        """
        self._edges[channel][1].append(max(from_ns, until_ns))

    def take(self) -> Edges:
        """Return what was noted, as plain values for a message, and start anew."""
        taken = dict(self._edges)
        self._edges.clear()
        return taken
