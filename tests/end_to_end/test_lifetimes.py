"""Systems end connections of age, of idleness, or to restart: cut, return and gap in the record.

API Gateway ends a connection after 2 h and after 10 min of silence, AppSync Events after 24 h; the
emulators' settings make seconds of them. What is counted is checked against what the emulator
counted, and against the tables, from which the gaps are worked out anew here.
"""

from functools import partial

import numpy as np

from tests.support.runs import EMULATED, SHORT, after, after_each

SUBSCRIBERS, CHATTERS = 24, 6
USERS = SUBSCRIBERS + CHATTERS
LIFETIME_S, OF_AGE_MEASURE_S = 10.0, 13.0
"""Of 17.5 s: first connections end 3 s before the last moment to come back, second ones never."""
IDLE_S = 2.0
WAIT_S = 0.5
LATE_S = 3.0
"""Room at the end of a run: who is cut before it comes back, also on a busy machine."""
LONG_ENOUGH = SHORT | {
    "population.subscribers": SUBSCRIBERS,
    "population.chatters": CHATTERS,
    "phases.measure_s": 6.0,
    "phases.drain_s": 2.5,
    "publishing.rate_per_s": 20.0,
    "publishing.arrival": '"uniform"',
    "reconnect.policy": '"fixed"',
    "reconnect.base_s": WAIT_S,
    "slos": "[]",
}


def run(launcher, system, **settings):
    """Run thirty users on the emulator of a system for eleven seconds or more."""
    target = EMULATED.with_name(f"{system}-emulated.toml")
    return launcher.run(LONG_ENOUGH | settings, target=target).outcome()


def ended(outcome):
    """Return the connections that did not last until the run was over."""
    rows = outcome.table("connections")
    return rows[rows["joined"] & ~rows["close_reason"].isin(["run ended"])]


def disconnected(outcome):
    """Return how often each end of a connection was counted as an error, by its code."""
    rows = outcome.table("errors")
    rows = rows[rows["error_class"] == "Disconnected"]
    return rows.groupby("code")["count"].sum().to_dict()


def assert_gaps_are_in_the_record(outcome):
    """What was sent while a user was owed nothing is told of its connection before that."""
    messages = outcome.table("messages")
    taken = messages[(messages["outcome"] == "acknowledged") | (messages["delivered"] > 0)]
    sent_ns = np.sort(taken["sent_ns"].dropna().to_numpy(np.int64))
    rows = outcome.table("connections").sort_values(["user_class", "user", "connection"])
    missed = 0
    for _, of_user in rows.groupby(["user_class", "user"]):
        owed = of_user[of_user["owed_from_ns"].notna()]
        for place, row in enumerate(owed.itertuples()):
            last = place + 1 == len(owed)
            until_ns = np.iinfo(np.int64).max if last else owed.iloc[place + 1]["owed_from_ns"]
            gap = (sent_ns >= row.owed_until_ns) & (sent_ns < until_ns)
            assert int(gap.sum()) == row.missed_while_away, (row.user_class, row.user)
            missed += int(gap.sum())
    assert missed == outcome.summary["deliveries"]["missed_while_away"] > 0


def assert_everybody_came_back(outcome, cut, wait_s=WAIT_S):
    """Each user that was cut, and not at the very end, has another connection after its wait."""
    rows = outcome.table("connections")
    over_ns = rows.loc[rows["close_reason"] == "run ended", "closed_ns"].max()
    rows = rows.set_index(["user_class", "user", "connection"])
    in_time = cut[cut["closed_ns"] + (wait_s + LATE_S) * 1e9 < over_ns]
    assert set(cut["user"]) == set(in_time["user"])
    for row in in_time.itertuples():
        following = rows.loc[row.user_class, row.user, row.connection + 1]
        waited_s = (following["join_start_ns"] - row.closed_ns) / 1e9
        assert wait_s <= waited_s


def assert_nothing_else_is_missing(outcome):
    """Every delivery that was sent was counted, and what was lost there was no way to send."""
    assert (0, []) == (outcome.exit_code, outcome.errors), outcome.said
    rows = outcome.table("connections")
    told = outcome.truth["stats"]["deliveries"]
    dropped = sum(told["dropped"].values())
    assert rows["received"].sum() == told["sent"]
    assert rows["lost"].sum() <= dropped + told["pending"]


# API Gateway ends connections after 2 h, AppSync Events after 24 h.

OF_AGE = {
    "1001": partial(
        run,
        system="api-gateway-websocket",
        **{
            "target.emulator.quotas.lifetime_s": LIFETIME_S,
            "phases.measure_s": OF_AGE_MEASURE_S,
        },
    ),
    "1000": partial(
        run,
        system="appsync-events",
        **{
            "target.emulator.connection_lifetime_s": LIFETIME_S,
            "phases.measure_s": OF_AGE_MEASURE_S,
        },
    ),
}


@after_each(OF_AGE)
def test_connection_that_ends_of_age_has_the_systems_code_and_comes_back(outcome, request):
    """As many as the emulator ended, each at its age, and each followed by another."""
    cut = ended(outcome)
    assert {request.node.callspec.id: len(cut)} == disconnected(outcome)
    assert len(cut) == outcome.truth["stats"]["disconnects"]["lifetime"] == USERS
    age_s = (cut["closed_ns"] - cut["join_start_ns"]) / 1e9
    assert (age_s > LIFETIME_S - 0.1).all()
    assert_everybody_came_back(outcome, cut)


@after_each(OF_AGE)
def test_what_a_cut_of_age_costs_is_missed_and_not_lost(outcome):
    """Nobody is owed what was sent while they were away, and the report says how much it was."""
    assert_gaps_are_in_the_record(outcome)
    assert_nothing_else_is_missing(outcome)


# API Gateway: 10 min of silence.


SILENT = {
    "population.chatters_subscribe": "false",
    "publishing.rate_per_s": 0.5,
    "target.emulator.quotas.idle_s": IDLE_S,
}
cut_of_idleness = partial(run, system="api-gateway-websocket", **SILENT)
kept_alive = partial(
    run,
    system="api-gateway-websocket",
    **SILENT | {"target.client.keep_alive_s": 0.5, "target.emulator.quotas.idle_s": 6.0},
)


@after(cut_of_idleness)
def test_connection_that_api_gateway_ends_of_idleness_comes_back(outcome):
    """Chatters who write every 12 s and hear nothing are cut; who hears a message is not idle."""
    cut = ended(outcome)
    assert {"1001": len(cut)} == disconnected(outcome)
    at_the_end = len(outcome.table("connections")) - len(cut)
    # The emulator may end one just as the run does, which then is no loss.
    assert 0 < len(cut) <= outcome.truth["stats"]["disconnects"]["idle"] <= len(cut) + at_the_end
    held_s = (cut["closed_ns"] - cut["join_start_ns"]) / 1e9
    assert (held_s > IDLE_S - 0.1).all()
    chatters = cut[cut["user_class"] == "chatter"]
    assert len(chatters) > 0
    # A subscriber's message may be late at any time, also at the very end.
    assert_everybody_came_back(outcome, chatters)


@after(kept_alive)
def test_sign_of_life_keeps_a_silent_connection(outcome):
    """The same silence with a ping every half second costs nobody a connection."""
    assert (0, {}) == (len(ended(outcome)), disconnected(outcome))
    assert 0 == outcome.truth["stats"]["disconnects"]["idle"]


never_again = partial(
    run,
    system="appsync-events",
    **{
        "target.emulator.connection_lifetime_s": 6.0,
        "phases.measure_s": 8.0,
        "reconnect.policy": '"never"',
        "joins.rate_per_s": 10.0,  # So that there is somebody left who writes.
    },
)


@after(never_again)
def test_user_who_never_reconnects_misses_all_that_comes_after_the_cut(outcome):
    """One connection each; what follows it is missed to the end of the run."""
    assert USERS == len(ended(outcome)) == outcome.truth["stats"]["disconnects"]["lifetime"]
    assert {0} == set(outcome.table("connections")["connection"])
    assert_gaps_are_in_the_record(outcome)


# Server-sent events: dedicated servers that restart.

AWAY_S = 3.0
RETRY_S = 0.5
restarted_streams = partial(
    run,
    system="server-sent-events",
    **{
        "disturbances": f'[{{kind="restart",at_s=2.0,back_after_s={AWAY_S}}}]',
        "reconnect.policy": '"browser"',
        "target.emulator.retry_ms": RETRY_S * 1000,
        "population.chatters_subscribe": "false",
        "publishing.transport": '"http"',
        "safety.error_storm_ratio": 1.0,
        # A process of the emulator needs seconds to start where many others do the same.
        "phases.measure_s": 20.0,
    },
)


@after(restarted_streams)
def test_restart_resets_every_stream_and_browsers_come_back_when_told(outcome):
    """Each is a reset, is refused while nobody listens, and returns after the server's retry."""
    cut = ended(outcome)
    assert SUBSCRIBERS == len(cut)
    assert {"stream_reset": SUBSCRIBERS} == disconnected(outcome)
    assert {True} == set(cut["close_reason"].str.startswith("stream_reset: "))
    assert_everybody_came_back(outcome, cut, RETRY_S)
    rows = outcome.table("connections")
    subscribers = rows[rows["user_class"] == "subscriber"].sort_values("connection")
    assert SUBSCRIBERS == subscribers.groupby("user").last()["joined"].sum()
    assert (outcome.table("errors")["code"] == "connect_refused").any()


@after(restarted_streams)
def test_what_was_sent_between_two_streams_is_missed_and_not_lost(outcome):
    """Publishes failed too while nobody listened; what was accepted before the return is missed."""
    assert_gaps_are_in_the_record(outcome)


# Polling: kept connections that end.

cut_polls = partial(
    run,
    system="polling",
    **{
        "target.client.interval_s": 0.5,
        "disturbances": '[{kind="faults",at_s=2.0,length_s=1.0,faults=[{kind="disconnect"}]}]',
    },
)


@after(cut_polls)
def test_end_of_a_kept_connection_costs_a_poller_nothing(outcome):
    """The next poll goes by another one: no error, no second join, nothing missed or lost."""
    assert (0, {}) == (outcome.exit_code, disconnected(outcome)), outcome.said
    told = outcome.truth["stats"]
    assert told["disconnects"]["fault"] > 0
    assert told["connects"]["accepted"] >= USERS + told["disconnects"]["fault"]
    deliveries = outcome.summary["deliveries"]
    assert deliveries["received"] == deliveries["owed"] > 0
    assert (0, 0) == (deliveries["lost"], deliveries["missed_while_away"])
    assert {0} == set(outcome.table("connections")["connection"])


# The hybrid: its sockets are AppSync's, its viewers poll.

old_hybrid = partial(
    run,
    system="hybrid",
    **{
        "target.emulator.connection_lifetime_s": LIFETIME_S,
        "target.client.interval_s": 0.5,
        "phases.measure_s": OF_AGE_MEASURE_S,
    },
)


@after(old_hybrid)
def test_age_ends_the_sockets_of_a_hybrid_and_no_poller(outcome):
    """Only chatters are cut and come back; viewers notice nothing."""
    cut = ended(outcome)
    assert {"chatter"} == set(cut["user_class"])
    assert len(cut) == outcome.truth["stats"]["disconnects"]["lifetime"] >= CHATTERS
    assert {"1000": len(cut)} == disconnected(outcome)
    assert_everybody_came_back(outcome, cut)
    assert_gaps_are_in_the_record(outcome)
