"""Standard streams whose reader may go, as in ``harness examples | head -1``: that is no error."""

import io
import sys
from typing import Any, TextIO


class _Dropping(io.FileIO):
    """A file descriptor that drops what nobody reads any more."""

    def write(self, data: Any) -> int:
        """Write, or drop, some bytes; return how many."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def tolerate_closed_output() -> None:
    """Let every verb go on to its end, and to its exit code, after its reader has gone."""
    # Streams that somebody has put in place of the process's own are theirs to keep.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _dropping(stream))


def _dropping(stream: TextIO) -> TextIO:
    stream.flush()
    raw = _Dropping(stream.fileno(), "w", closefd=False)
    is_line_buffered = stream is sys.__stderr__ or raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=is_line_buffered,
    )
