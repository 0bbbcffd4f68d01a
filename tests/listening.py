"""What the listeners of tests have in common."""

from collections.abc import Sequence
from typing import Any


class EachByItself:
    """A listener whose kind hears of equal frames one by one, as of any other."""

    def delivered_together(self, known: Any, listeners: Sequence[Any], stamps_ns: Any) -> None:
        """Tell each listener of its delivery."""
        for listener, kernel_ns in zip(listeners, stamps_ns.tolist(), strict=True):
            listener.delivered(known, kernel_ns)
