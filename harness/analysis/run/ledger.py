"""Who was owed what: the ledger of messages against connections.

A message is owed to a connection that subscribed to its channel when it was sent while all of the
connection's subscriptions were confirmed: ``owed_from_ns <= sent_ns < owed_until_ns``. It is owed
once, whatever number of them match: a second copy is a duplicate. It is owed at all only if the
system took it: it was acknowledged, or at least one subscriber got it. Where the target says that
chatters are not owed their own messages (``owed_own``), none is owed to the connection of the user
who sent it. Everything here sorts once a channel and then searches, so its cost grows with messages
plus connections, not with their product; without own messages each chatter costs one pass more.
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
from harness.core.metric_types import CHATTER
from harness.measure.record import CHANNELS_APART
from harness.measure.record_schema import DELIVERY_COUNTS, RECORD_TABLES

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FAULTS = ("lost", "duplicated", "reordered")
"""What can be wrong with the deliveries of a message that was owed."""

NEVER = np.iinfo(np.int64).max
"""The instant that stands for "not yet", where a connection never stopped being owed."""

_NO_AUTHOR, _NO_CHATTER = -1, -2


class Windows(NamedTuple):
    """From when (inclusive) until when (exclusive) each connection is owed; run-clock ns."""

    starts: Int64s
    ends: Int64s

    def of(self, rows: Int64s) -> "Windows":
        """Return the windows of some connections."""
        return Windows(self.starts[rows], self.ends[rows])


def message_ledger(
    publishes: pd.DataFrame,
    arrivals: pd.DataFrame,
    connections: pd.DataFrame,
    *,
    owed_own: bool = True,
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
    owed = _owed_at(messages, connections, _sent_ns(messages), owed_own=owed_own)
    owed[~owing(messages)] = 0
    messages["owed"] = pd.array(owed, dtype="Int64")
    messages["lost"] = messages["owed"] - messages["delivered"]
    messages = messages.join(completion(messages, arrivals))
    return messages[list(RECORD_TABLES["messages"])]


def connection_ledger(
    connections: pd.DataFrame, messages: pd.DataFrame, end_ns: int, *, owed_own: bool = True
) -> pd.DataFrame:
    """Add to the journal of connections what each was owed, what it lost and its longest stall.

    A connection that was owed nothing has no stall. The drain was over at ``end_ns``, run clock.
    """
    result = connections.copy()
    owed = np.zeros(len(result), np.int64)
    tail_s = np.zeros(len(result))
    windows = _windows(result)
    last_arrival = result["last_arrival_ns"].to_numpy(dtype=np.int64, na_value=0)
    accepted = messages[owing(messages)]
    for index, instants in by_channel_sent(result, accepted, owed_own=owed_own):
        of_channel = windows.of(index)
        owed[index] += _instants_inside(of_channel, instants)
        silence_s = _silence_s(of_channel, last_arrival[index], instants, end_ns)
        tail_s[index] = np.maximum(tail_s[index], silence_s)
    result["owed"] = pd.array(owed, dtype="Int64")
    result["lost"] = result["owed"] - integers(result["delivered"])
    longest = result["longest_stall_s"].fillna(0.0)
    result["stall_s"] = longest.clip(lower=pd.Series(tail_s, index=result.index)).where(owed > 0)
    result = result.join(_times_away(result, accepted, end_ns, owed_own=owed_own))
    return result[list(RECORD_TABLES["connections"])]


def _times_away(
    connections: pd.DataFrame, sent: pd.DataFrame, end_ns: int, *, owed_own: bool
) -> pd.DataFrame:
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
    for index, instants in by_channel_sent(connections, sent, owed_own=owed_own):
        missed[index] += _instants_inside(Windows(starts[index], until[index]), instants)
    return pd.DataFrame(
        {
            "away_s": np.where(until > starts, (until - starts) / NS_PER_S, np.nan),
            "missed_while_away": pd.array(missed, dtype="Int64"),
        },
        index=connections.index,
    )


def not_routed(
    connections: pd.DataFrame, messages: pd.DataFrame, start_ns: int, *, owed_own: bool = True
) -> int:
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
    for index, instants in by_channel_sent(connections, sent, owed_own=owed_own):
        told[index] |= _instants_inside(windows.of(index), instants) > 0
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
    messages: pd.DataFrame, connections: pd.DataFrame, epoch_ns: int, *, owed_own: bool = True
) -> "pd.Series[int]":
    """Return the deliveries the schedule intended, by second of the intended send time.

    Every scheduled message counts, sent or not, once for each connection that was owed at its
    intended time; indexed by second since the epoch.
    """
    intended = messages["intended_ns"].to_numpy(dtype=np.int64, na_value=-1)
    offered = _owed_at(messages, connections, intended, owed_own=owed_own)
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


def _owed_at(
    messages: pd.DataFrame, connections: pd.DataFrame, instants: Int64s, *, owed_own: bool
) -> Int64s:
    """Count for each message the connections that it was owed to, if it was sent at an instant."""
    owed = np.zeros(len(messages), np.int64)
    windows, authors, chatters = _windows(connections), _authors(messages), _chatters(connections)
    on_channel = messages.reset_index(drop=True).groupby("channel").groups
    holders = _holders(connections, map(str, on_channel))
    for rows, held in zip(map(np.asarray, on_channel.values()), holders, strict=True):
        owed[rows] = _open_windows(windows.of(held), instants[rows])
        if owed_own:
            continue
        for author in np.intersect1d(authors[rows], chatters[held]):
            own, its = rows[authors[rows] == author], held[chatters[held] == author]
            owed[own] -= _open_windows(windows.of(its), instants[own])
    return owed


def by_channel_sent(
    connections: pd.DataFrame, messages: pd.DataFrame, *, owed_own: bool = True
) -> Iterator[tuple[Int64s, Int64s]]:
    """Yield connections' row numbers, and when the messages of a channel of theirs were sent.

    A connection with several channels comes once for each of them. A chatter that is not owed its
    own messages comes apart, with the others' alone.
    """
    by_channel = {str(channel): rows for channel, rows in messages.groupby("channel")}
    holders = _holders(connections, by_channel)
    chatters = _chatters(connections)
    for held, rows in zip(holders, by_channel.values(), strict=True):
        order = np.argsort(_sent_ns(rows), kind="stable")
        sent, authors = _sent_ns(rows)[order], _authors(rows)[order]
        of_held = chatters[held]
        apart = np.intersect1d(authors, of_held) if not owed_own else np.empty(0, np.int64)
        yield held[~np.isin(of_held, apart)], sent
        for author in apart:
            yield held[of_held == author], sent[authors != author]


def _authors(messages: pd.DataFrame) -> Int64s:
    """Return the number of the chatter who sent each message."""
    result: Int64s = messages["chatter"].to_numpy(dtype=np.int64, na_value=_NO_AUTHOR)
    return result


def _chatters(connections: pd.DataFrame) -> Int64s:
    """Return the number of each connection's chatter, ``_NO_CHATTER`` for other users."""
    users = connections["user"].to_numpy(dtype=np.int64, na_value=_NO_CHATTER)
    is_chatter = (connections["user_class"] == CHATTER).to_numpy(dtype=bool, na_value=False)
    return np.where(is_chatter, users, _NO_CHATTER)


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
