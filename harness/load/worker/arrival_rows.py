"""What a worker reports of a message that arrived at its users."""

from typing import Any

from harness.measure.arrivals import Arrivals


def arrival_row(worker: int, user_class: str, message: Arrivals) -> dict[str, Any]:
    """Return a message's row of the arrivals journal.

    Args:
        worker: Number of the worker.
        user_class: The users at whom it arrived: subscriber or chatter.
        message: A message that is quiet, or final.
    """
    return {
        "stream": message.stream,
        "sequence": message.sequence,
        "worker": worker,
        "user_class": user_class,
        "delivered": message.delivered,
        "duplicated": message.duplicated,
        "reordered": message.reordered,
        "late": message.late,
        "unexpected": message.unexpected,
        "first_arrival_ns": message.first_ns,
        "last_arrival_ns": message.last_ns,
        "arrival_bins": message.bins.pairs(),
    }
