"""Who was owed what: the ledger of messages against connections.

A message is owed to a connection that subscribed to its channel when it was sent while all of the
connection's subscriptions were confirmed: ``owed_from_ns <= sent_ns < owed_until_ns``. It is owed
once, whatever number of them match: a second copy is a duplicate. It is owed at all only if the
system took it: it was acknowledged, or at least one subscriber got it. Everything here sorts once a
channel and then searches, so its cost grows with messages plus connections, not with their product.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.run.completion import completion
from harness.analysis.run.tables import integers
from harness.core.channels import names_of
from harness.core.clock import NS_PER_S
from harness.measure.record import CHANNELS_APART
from harness.measure.record_schema import DELIVERY_COUNTS, RECORD_TABLES

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FAULTS = ("lost", "duplicated", "reordered")
"""What can be wrong with the deliveries of a message that was owed."""

NEVER = np.iinfo(np.int64).max
"""The instant that stands for "not yet", where a connection never stopped being owed."""


class Windows(NamedTuple):
    """From when (inclusive) until when (exclusive) each connection is owed; run-clock ns."""

    starts: Int64s
    ends: Int64s


def message_ledger(
    publishes: pd.DataFrame, arrivals: pd.DataFrame, connections: pd.DataFrame
) -> pd.DataFrame:
    """Join the journals of publishers, subscribers and connections; one row a message.

    Returns:
        The columns of ``messages``. ``lost`` is owed minus delivered, never clamped: a negative
        number is a contradiction for ``contradictions`` to find.
    """
    key = ["stream", "sequence"]
    again = publishes.duplicated(key, keep="last") & publishes["stream"].notna()
    publishes = publishes[~again]
    grouped = arrivals.groupby(key)
    seen = grouped[list(DELIVERY_COUNTS)].sum()
    seen["first_arrival_ns"] = grouped["first_arrival_ns"].min()
    seen["last_arrival_ns"] = grouped["last_arrival_ns"].max()
    messages = publishes.join(seen, on=key).sort_values("id", ignore_index=True)
    for name in DELIVERY_COUNTS:
        messages[name] = integers(messages[name]).astype("Int64")
    owed = np.zeros(len(messages), np.int64)
    for rows, windows in _by_channel(messages, connections):
        owed[rows] = _open_windows(windows, _sent_ns(messages.iloc[rows]))
    owed[~owing(messages)] = 0
    messages["owed"] = pd.array(owed, dtype="Int64")
    messages["lost"] = messages["owed"] - messages["delivered"]
    messages = messages.join(completion(messages, arrivals))
    return messages[list(RECORD_TABLES["messages"])]


def connection_ledger(
    connections: pd.DataFrame, messages: pd.DataFrame, end_ns: int
) -> pd.DataFrame:
    """Add to the journal of connections what each was owed, what it lost and its longest stall.

    A connection that was owed nothing has no stall. The drain was over at ``end_ns``, run clock.
    """
    result = connections.copy()
    owed = np.zeros(len(result), np.int64)
    tail_s = np.zeros(len(result))
    windows = _windows(result)
    last_arrival = result["last_arrival_ns"].to_numpy(dtype=np.int64, na_value=0)
    for index, instants in by_channel_sent(result, messages[owing(messages)]):
        of_channel = Windows(windows.starts[index], windows.ends[index])
        owed[index] += _instants_inside(of_channel, instants)
        silence_s = _silence_s(of_channel, last_arrival[index], instants, end_ns)
        tail_s[index] = np.maximum(tail_s[index], silence_s)
    result["owed"] = pd.array(owed, dtype="Int64")
    result["lost"] = result["owed"] - integers(result["delivered"])
    longest = result["longest_stall_s"].fillna(0.0)
    result["stall_s"] = longest.clip(lower=pd.Series(tail_s, index=result.index)).where(owed > 0)
    result = result.join(_times_away(result, messages[owing(messages)], end_ns))
    return result[list(RECORD_TABLES["connections"])]


def _times_away(connections: pd.DataFrame, sent: pd.DataFrame, end_ns: int) -> pd.DataFrame:
    """Return how long each connection's user was owed nothing after it, and what was sent then.

    Until the user's next connection was owed something, or else until the drain was over; a
    connection that was never owed anything, or went on to the end, has no such time.
    """
    windows = _windows(connections)
    was_owed = windows.starts < NEVER
    order = connections[was_owed].sort_values(["user_class", "user", "connection"])
    following = order.groupby(["user_class", "user"])["owed_from_ns"].shift(-1)
    until = following.reindex(connections.index).to_numpy(dtype=np.int64, na_value=end_ns)
    starts = np.where(was_owed, np.minimum(windows.ends, until), until)
    missed = np.zeros(len(connections), np.int64)
    for index, instants in by_channel_sent(connections, sent):
        missed[index] += _instants_inside(Windows(starts[index], until[index]), instants)
    return pd.DataFrame(
        {
            "away_s": np.where(until > starts, (until - starts) / NS_PER_S, np.nan),
            "missed_while_away": pd.array(missed, dtype="Int64"),
        },
        index=connections.index,
    )


def not_routed(connections: pd.DataFrame, messages: pd.DataFrame, start_ns: int) -> int:
    """Return how many subscribers had been sent messages before ``start_ns`` and received none.

    Only those count that were connected then. A message of the last second before it may still be
    under way, so it is no evidence.
    """
    windows = _windows(connections)
    waiting = (windows.starts < start_ns) & (windows.ends > start_ns)
    first = connections["first_arrival_ns"].to_numpy(dtype=np.int64, na_value=NEVER)
    # A record from before this column has deliveries without a first one.
    unheard = connections["received"].fillna(0).eq(0).to_numpy(dtype=bool)
    silent = waiting & ((first >= start_ns) & ((first < NEVER) | unheard))
    sent = messages[owing(messages) & (_sent_ns(messages) < start_ns - NS_PER_S)]
    told = np.zeros(len(connections), bool)
    for index, instants in by_channel_sent(connections, sent):
        of_channel = Windows(windows.starts[index], windows.ends[index])
        told[index] |= _instants_inside(of_channel, instants) > 0
    return int((silent & told).sum())


def stalls_s(connections: pd.DataFrame) -> "pd.Series[float]":
    """Return each subscriber's longest stall, over all of its connections, in seconds.

    Indexed by user class and number. A subscriber that was owed nothing is not in it; the time
    between two of its connections belongs to none of them and is no stall.
    """
    stalled = connections[connections["stall_s"].notna()]
    return stalled.groupby(["user_class", "user"])["stall_s"].max()


def faults_per_second(messages: pd.DataFrame, epoch_ns: int) -> pd.DataFrame:
    """Return lost, duplicated and reordered deliveries by second of the intended send time."""
    intended = messages["intended_ns"].to_numpy(dtype=np.int64, na_value=-1)
    seconds = pd.Series((intended - epoch_ns) // NS_PER_S, index=messages.index, name="second")
    return messages[list(FAULTS)].astype("int64").groupby(seconds).sum()


def offered_per_second(
    messages: pd.DataFrame, connections: pd.DataFrame, epoch_ns: int
) -> "pd.Series[int]":
    """Return the deliveries the schedule intended, by second of the intended send time.

    Every scheduled message counts, sent or not, once for each connection that was owed at its
    intended time; indexed by second since the epoch.
    """
    offered = np.zeros(len(messages), np.int64)
    intended = messages["intended_ns"].to_numpy(dtype=np.int64, na_value=-1)
    for rows, windows in _by_channel(messages, connections):
        offered[rows] = _open_windows(windows, intended[rows])
    seconds = pd.Series((intended - epoch_ns) // NS_PER_S, name="second")
    return pd.Series(offered).groupby(seconds).sum()


def owing(messages: pd.DataFrame) -> Bools:
    """Return for each message whether the system accepted it, so that it is owed."""
    taken = (messages["outcome"] == "acknowledged") | (messages["delivered"].fillna(0) > 0)
    result: Bools = (taken & messages["sent_ns"].notna()).to_numpy(dtype=bool)
    return result


def contradictions(messages: pd.DataFrame, connections: pd.DataFrame) -> list[str]:
    """Return in words where the messages' sums and the connections' sums disagree.

    Both sides were counted independently, so equal sums are evidence that both are complete.
    """
    found = []
    for name in ("owed", *DELIVERY_COUNTS):
        by_message, by_connection = int(messages[name].sum()), int(connections[name].sum())
        if by_message != by_connection:
            found.append(f"{name}: {by_message} by message, {by_connection} by connection")
    for kind, frame in (("messages", messages), ("connections", connections)):
        impossible = int((frame["lost"] < 0).sum())
        if impossible:
            found.append(f"{kind} delivered more often than owed: {impossible}")
    return found


def subscriptions(connections: pd.DataFrame) -> "pd.Series[str]":
    """Return the channels of each connection, one row a subscription; the index is repeated."""
    return connections["channel"].dropna().str.split(CHANNELS_APART).explode()


def _holders(connections: pd.DataFrame, channels: Iterable[str]) -> Iterator[Int64s]:
    """Yield, for each channel, the row numbers of the connections that subscribed to it.

    A connection is one of them once, whatever number of its subscriptions match.
    """
    made = subscriptions(connections.reset_index(drop=True))
    rows_of = {str(path): np.asarray(rows) for path, rows in made.groupby(made).groups.items()}
    for channel in channels:
        found = [rows_of[name] for name in names_of(channel) if name in rows_of]
        yield np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _by_channel(
    messages: pd.DataFrame, connections: pd.DataFrame
) -> Iterator[tuple[Int64s, Windows]]:
    """Yield, for each channel with messages, their row numbers and its connections' windows."""
    windows = _windows(connections)
    on_channel = messages.reset_index(drop=True).groupby("channel").groups
    holders = _holders(connections, map(str, on_channel))
    for rows, held in zip(on_channel.values(), holders, strict=True):
        yield np.asarray(rows), Windows(windows.starts[held], windows.ends[held])


def by_channel_sent(
    connections: pd.DataFrame, messages: pd.DataFrame
) -> Iterator[tuple[Int64s, Int64s]]:
    """Yield, for each channel with messages, its connections' row numbers and when they were sent.

    A connection with several channels is in each of them.
    """
    sent = {str(channel): np.sort(_sent_ns(rows)) for channel, rows in messages.groupby("channel")}
    yield from zip(_holders(connections, sent), sent.values(), strict=True)


def _windows(connections: pd.DataFrame) -> Windows:
    """Return when each connection was owed; one that never was has an empty window at the end."""
    starts = connections["owed_from_ns"].to_numpy(dtype=np.int64, na_value=NEVER)
    ends = connections["owed_until_ns"].to_numpy(dtype=np.int64, na_value=NEVER)
    return Windows(starts, np.maximum(starts, ends))


def _sent_ns(messages: pd.DataFrame) -> Int64s:
    """Return when each message was sent, -1 for those that never were."""
    result: Int64s = messages["sent_ns"].to_numpy(dtype=np.int64, na_value=-1)
    return result


def _open_windows(windows: Windows, instants: Int64s) -> Int64s:
    """Count for each instant the windows that hold it: those begun minus those over."""
    begun = np.searchsorted(np.sort(windows.starts), instants, side="right")
    over = np.searchsorted(np.sort(windows.ends), instants, side="right")
    return begun - over


def _instants_inside(windows: Windows, instants: Int64s) -> Int64s:
    """Count for each window the sorted instants that lie in it."""
    before_end = np.searchsorted(instants, windows.ends, side="left")
    before_start = np.searchsorted(instants, windows.starts, side="left")
    return before_end - before_start


def _silence_s(
    windows: Windows, last_arrival: Int64s, instants: Int64s, end_ns: int
) -> npt.NDArray[np.float64]:
    """Return how long each connection's last silence was, in seconds; 0 where there was none.

    It begins when the first owed message after the last arrival was sent, and ends when the
    connection stopped being owed or the drain was over.
    """
    if not len(instants):
        return np.zeros(len(windows.starts))
    after = np.maximum(windows.starts, last_arrival)
    place = np.searchsorted(instants, after, side="left")
    first_lost = instants[np.minimum(place, len(instants) - 1)]
    silent = (place < len(instants)) & (first_lost < windows.ends)
    until = np.minimum(windows.ends, end_ns)
    return np.where(silent, np.maximum(until - first_lost, 0), 0) / NS_PER_S
