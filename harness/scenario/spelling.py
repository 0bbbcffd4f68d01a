"""Suggest the correct spelling of names."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(written: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to what was written, or None where none is close."""
    by_folded = {word.casefold(): word for word in known}
    for folded, word in by_folded.items():
        if sorted(folded) == sorted(written.casefold()):
            return word  # Letters swapped, as in "=<".
    matches = get_close_matches(written.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(written: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the closest known word, or None where none is close."""
    word = closest(written, known)
    return f"did you mean {word}?" if word else None
