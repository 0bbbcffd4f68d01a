"""How long each user waited for its first message: the minutes in which a chat looks dead.

A stall is about those who are subscribed. Whoever is still knocking is owed nothing, and so this is
counted for everybody who wanted to subscribe, failed attempts to join included.
"""

from typing import Final

import numpy as np
import pandas as pd

from harness.core.clock import NS_PER_S

_LAST_SEEN: Final = ("closed_ns", "owed_until_ns", "last_arrival_ns")
_WILDCARD: Final = "*"


def first_message_waits_s(connections: pd.DataFrame, messages: pd.DataFrame) -> "pd.Series[float]":
    """Return how long each user waited for its first message, in seconds.

    The wait begins when the user begins its first attempt to join, or with the first message that
    is published in a channel of its own after that, and ends when any message arrives.

    Args:
        connections: The record's table, a row an attempt; of a user that only publishes, no row
            names a channel.
        messages: The record's table.

    Returns:
        Indexed by user class and number. A user that never got one waited until the end of the
        record, at least. Users in whose channels nothing was published any more are not in it, and
        neither are those of older records, which do not say when something came first.
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
    waits_ns = first_ns - _begins_ns(users, messages)
    return (waits_ns / NS_PER_S).dropna().clip(lower=0.0).astype(float)


def _begins_ns(users: pd.DataFrame, messages: pd.DataFrame) -> "pd.Series[float]":
    """Return when each user's wait begins; nothing where no message came after its start."""
    begins_ns = pd.Series(np.nan, index=users.index)
    sent = messages[messages["sent_ns"].notna()]
    for channels, rows in users.groupby("channel"):
        names = str(channels).split()
        theirs = sent if any(_WILDCARD in name for name in names) else _among(sent, names)
        sent_ns = np.sort(theirs["sent_ns"].to_numpy(np.int64))
        places = np.searchsorted(sent_ns, rows["start_ns"].to_numpy(np.int64))
        after_ns = np.append(sent_ns.astype(float), np.nan)[places]
        begins_ns[rows.index] = after_ns
    return begins_ns


def _among(sent: pd.DataFrame, channels: list[str]) -> pd.DataFrame:
    return sent[sent["channel"].isin(channels).to_numpy(bool)]
