"""How each message spread: when half of those it was owed to had it, and when 99 %.

The first and the last arrival are exact. Those between come from the record's coarse bins of
arrivals, which merge over workers and kinds of users by adding up.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.run.tables import integers
from harness.measure.histogram import BIN_COUNT, edges_ns

Int64s = npt.NDArray[np.int64]

SHARES: Final = {"half_arrival_ns": 0.5, "p99_arrival_ns": 0.99}
"""The column of each share of a message's subscribers."""

_KEY: Final = ["stream", "sequence"]
_MOST: Final = 2**40
"""No message has this many deliveries."""


def completion(messages: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    """Return when each message had reached half, and 99 %, of the subscribers it was owed to.

    The messages have ``owed``, ``delivered`` and the exact first and last arrival, and their index
    counts from 0; the journal of arrivals has the bins.

    Returns:
        A column for each of ``SHARES``, run-clock ns. Null where a message never got that far,
        and where the record has no bins for it.
    """
    row, counts, (low, high) = _counted(messages, arrivals)
    total = np.bincount(row, counts, len(messages)).astype(np.int64)
    reached = np.cumsum(counts)
    before = np.concatenate(([0], np.cumsum(total)))[:-1]
    owed, delivered = (integers(messages[name]).to_numpy() for name in ("owed", "delivered"))
    columns = {}
    for name, share in SHARES.items():
        wanted = np.ceil(share * owed).astype(np.int64)
        known = (total == delivered) & (wanted > 0) & (wanted <= total)
        offsets_ns = np.zeros(len(messages), np.int64)
        place = np.searchsorted(reached, (before + wanted)[known])
        inside = (before + wanted)[known] - (reached - counts)[place]
        offsets_ns[known] = low[place] + (high - low)[place] * inside / counts[place]
        instants = pd.Series(messages["intended_ns"] + offsets_ns, index=messages.index)
        columns[name] = instants.where(known)
    return pd.DataFrame(columns, index=messages.index)


def _counted(
    messages: pd.DataFrame, arrivals: pd.DataFrame
) -> tuple[Int64s, Int64s, npt.NDArray[np.float64]]:
    """Return the filled bins, all rows of a message merged, in order of message and time.

    Returns:
        The message's row number and the deliveries of each bin, shape (n,), and where each bin
        begins and ends after the message was due, in ns, shape (2, n). No bin reaches beyond the
        first and the last arrival.
    """
    pairs = [_pairs(one) for one in arrivals["arrival_bins"]]
    row = np.repeat(_row_numbers(messages, arrivals), [len(one) for one in pairs])
    flat = np.concatenate([np.empty((0, 2), np.int64), *pairs])[row >= 0]
    places, merged = np.unique(row[row >= 0] * BIN_COUNT + flat[:, 0], return_inverse=True)
    counts = np.bincount(merged, flat[:, 1], len(places)).astype(np.int64)
    rows, bins = np.divmod(places, BIN_COUNT)
    first, last = (
        (messages[name] - messages["intended_ns"]).to_numpy(np.float64, na_value=0.0)[rows]
        for name in ("first_arrival_ns", "last_arrival_ns")
    )
    edges = np.clip((edges_ns()[bins], edges_ns()[bins + 1]), first, last)
    return rows, counts, edges


def _pairs(bins: npt.NDArray[np.int64] | None) -> Int64s:
    """Return bins and counts, shape (n, 2); none where the record has none, or damaged ones."""
    flat = np.asarray(() if bins is None else bins, np.float64)
    if len(flat) % 2 or not ((flat >= 0) & (flat < _MOST)).all():
        return np.empty((0, 2), np.int64)
    pairs = flat.astype(np.int64).reshape(-1, 2)
    return pairs if (pairs[:, 0] < BIN_COUNT).all() else pairs[:0]


def _row_numbers(messages: pd.DataFrame, arrivals: pd.DataFrame) -> Int64s:
    """Return the message that each row of arrivals is about, -1 where it is not on record."""
    sent = messages[_KEY].dropna()
    places = pd.MultiIndex.from_frame(sent).get_indexer(pd.MultiIndex.from_frame(arrivals[_KEY]))
    numbers: Int64s = np.append(sent.index.to_numpy(np.int64), -1)[places]
    return numbers
