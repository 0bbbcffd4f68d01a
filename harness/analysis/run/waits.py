"""How long users waited: for the next message, once subscribed, and for their first.

A stall is about users that are subscribed. A user that is still trying to join is owed nothing, so
the wait for the first message is counted for every user that wanted to subscribe, failed attempts
to join included.
"""

from typing import Final

import numpy as np
import pandas as pd

from harness.analysis.run.ledger import by_channel_sent, stalls_s
from harness.analysis.run.record import Json
from harness.core.clock import NS_PER_MS, NS_PER_S
from harness.core.metric_types import WAIT_LIMITS_S
from harness.measure.histogram import LatencyHistogram

_LAST_SEEN: Final = ("closed_ns", "owed_until_ns", "last_arrival_ns")


def stall_s(connections: pd.DataFrame) -> Json:
    """Return percentiles over the subscribers that were owed anything, and who waited too long."""
    return _figures(stalls_s(connections))


def first_message_s(
    connections: pd.DataFrame, messages: pd.DataFrame, *, owed_own: bool = True
) -> Json:
    """Return the same of how long users waited for their first message, subscribed or not."""
    return _figures(first_message_waits_s(connections, messages, owed_own=owed_own))


def first_message_waits_s(
    connections: pd.DataFrame, messages: pd.DataFrame, *, owed_own: bool = True
) -> "pd.Series[float]":
    """Return how long each user waited for its first message, in seconds.

    The wait begins when the user begins its first attempt to join, or with the first message that
    is published in a channel of its own after that, and ends when any message arrives.
    A row of connections is an attempt; of a user that only publishes, no row names a channel.

    Returns:
        Indexed by user class and number. A user that never got one waited until the end of the
        record, at least. Users in whose channels nothing was published any more are not in it, and
        neither are those of older records, which have no time of the first arrival.
    """
    heard = connections[(connections["channel"].fillna("") != "").to_numpy(bool)]
    by_user = heard.groupby(["user_class", "user"])
    users = by_user.agg(
        channel=("channel", "first"),
        start_ns=("join_start_ns", "min"),
        first_ns=("first_arrival_ns", "min"),
        received=("received", "sum"),
    )
    end_ns = heard[list(_LAST_SEEN)].max().max()
    first_ns = users["first_ns"].astype(float)
    first_ns = first_ns.mask(first_ns.isna() & (users["received"] == 0), end_ns)
    waits_ns = first_ns - _begins_ns(users, messages, owed_own=owed_own)
    return (waits_ns / NS_PER_S).dropna().clip(lower=0.0).astype(float)


def _begins_ns(
    users: pd.DataFrame, messages: pd.DataFrame, *, owed_own: bool
) -> "pd.Series[float]":
    """Return when each user's wait begins; nothing where no message came after its start."""
    starts_ns = users["start_ns"].to_numpy(np.int64)
    begins_ns = np.full(len(users), np.nan)
    sent = messages[messages["sent_ns"].notna()]
    for rows, sent_ns in by_channel_sent(users.reset_index(), sent, owed_own=owed_own):
        next_ns = np.append(sent_ns.astype(float), np.nan)
        after_ns = next_ns[np.searchsorted(sent_ns, starts_ns[rows])]
        begins_ns[rows] = np.fmin(begins_ns[rows], after_ns)
    return pd.Series(begins_ns, index=users.index)


def _figures(waits_s: "pd.Series[float]") -> Json:
    histogram = LatencyHistogram()
    histogram.record_many(np.asarray((waits_s * NS_PER_S).round(), dtype=np.int64))
    to_s = NS_PER_MS / NS_PER_S
    percentiles = {
        name: None if value is None else round(value * to_s, 6)
        for name, value in histogram.percentiles_ms().items()
    }
    shares = {
        f"over_{limit}s_ratio": float((waits_s > limit).mean()) if len(waits_s) else None
        for limit in WAIT_LIMITS_S
    }
    return percentiles | shares
