"""Fan-out inside one process: who subscribed to what, and one frame for all who share an id.

A delivery costs one write to a transport: no task, no queue and no object per subscriber. The
limit on what a subscriber leaves unread is therefore kept here, at the write.
"""

import asyncio
from collections.abc import Callable, Sequence

from harness.emulation.websocket_frames import text_frame
from harness.systems.appsync_events import wire
from harness.systems.appsync_events.channels import Segments, matching_patterns

Transport = asyncio.WriteTransport


class Hub:
    """The subscriptions of one process.

    Args:
        buffer_limit_bytes: Unsent bytes at which a subscriber counts as not reading.
        drop: Called with the transport of such a subscriber; must close it.
    """

    def __init__(self, buffer_limit_bytes: int, drop: Callable[[Transport], None]) -> None:
        self._buffer_limit_bytes = buffer_limit_bytes
        self._drop = drop
        # Pattern -> subscription id -> transports in the order they came (a dict as ordered set).
        self._groups: dict[Segments, dict[str, dict[Transport, None]]] = {}

    def add(self, pattern: Segments, operation_id: str, transport: Transport) -> None:
        """Deliver what matches a pattern to a transport, marked with its subscription's id."""
        self._groups.setdefault(pattern, {}).setdefault(operation_id, {})[transport] = None

    def remove(self, pattern: Segments, operation_id: str, transport: Transport) -> None:
        """End a subscription that ``add`` began."""
        by_id = self._groups[pattern]
        by_id[operation_id].pop(transport, None)
        if not by_id[operation_id]:
            del by_id[operation_id]
        if not by_id:
            del self._groups[pattern]

    def broadcast(self, segments: Segments, encoded_events: Sequence[bytes]) -> int:
        """Write events, each from ``wire.encode_event``, to all who subscribed to their channel.

        Returns:
            Deliveries written: events times subscriptions reached.
        """
        reached = 0
        for pattern in matching_patterns(segments):
            for operation_id, group in self._groups.get(pattern, {}).items():
                frames = [
                    text_frame(wire.encoded_data(operation_id, event)) for event in encoded_events
                ]
                reached += self._write(b"".join(frames), group)
        return reached * len(encoded_events)

    def _write(self, frames: bytes, group: dict[Transport, None]) -> int:
        """Write to all of a group who still listen; return to how many."""
        limit = self._buffer_limit_bytes
        written = 0
        stuck = []
        for transport in group:
            # A transport that is lost stays in its group until its session has noticed; writing
            # to it would raise and rob those who come after it.
            if transport.is_closing():
                continue
            if transport.get_write_buffer_size() > limit:
                stuck.append(transport)
                continue
            transport.write(frames)
            written += 1
        for transport in stuck:
            self._drop(transport)
        return written
