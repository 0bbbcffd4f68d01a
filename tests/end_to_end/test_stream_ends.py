"""Each way in which a stream of server-sent events fails is told apart in the record."""

from collections import Counter
from functools import partial

from tests.support.runs import SHORT, after
from tests.support.stream_server import StreamServer

EACH = 3
ENDS = ("stays", "ends", "is cut", "is reset", "falls silent", "is refused")
STALLED_AFTER_S = 4.0
"""More than ten heartbeats of those who stay, which a busy machine delays."""
MEASURED_S = 13.0
"""Silence is looked for every 5 s."""
FEW = {
    "population.chatters": 1,
    "population.chatters_subscribe": "false",
    "joins.rate_per_s": 20.0,
    "publishing.transport": '"http"',
    "reconnect.policy": '"never"',
    "slos": "[]",
}


def run(launcher, fates, subscribers, *, after_them="refuses", client=None, **settings):
    """Run one chatter and these subscribers, who join one after another, on a server by hand."""
    with StreamServer(fates, after_them) as server:
        target = launcher.new_folder() / "target.toml"
        options = client or {"stalled_after_s": STALLED_AFTER_S}
        target.write_text(server.target(**options), "utf-8")
        flags = SHORT | FEW | {"population.subscribers": subscribers} | settings
        return launcher.run(flags, target=target).outcome()


def errors_of(outcome):
    """Return how often each error was counted, by stage and code."""
    return Counter(outcome.table("errors").groupby(["stage", "code"])["count"].sum().to_dict())


def reasons_of(outcome):
    """Return how often each outcome begins the closing reason of a connection that was open."""
    rows = outcome.table("connections")
    rows = rows[rows["joined"] & (rows["user_class"] == "subscriber")]
    return Counter(reason.partition(":")[0] for reason in rows["close_reason"])


all_ends = partial(
    run, fates=ENDS * EACH, subscribers=len(ENDS) * EACH, **{"phases.measure_s": MEASURED_S}
)


@after(all_ends)
def test_each_end_of_a_stream_is_an_error_of_its_own(outcome):
    """A completed body, a cut, a reset, a stall and a 503; those who stay cost none."""
    expected = {
        ("receive", "stream_end"): EACH,
        ("receive", "stream_reset"): 2 * EACH,
        ("receive", "stalled"): EACH,
        ("subscribe", "http_error_terminal"): EACH,
    }
    assert expected == errors_of(outcome), outcome.said


@after(all_ends)
def test_each_end_of_a_stream_is_the_closing_reason_of_its_connection(outcome):
    """And the close code beside it is the one that comes closest."""
    expected = {"stream_end": EACH, "stream_reset": 2 * EACH, "stalled": EACH, "run ended": EACH}
    assert expected == reasons_of(outcome)
    rows = outcome.table("connections")
    codes = rows.groupby(rows["close_reason"].str.partition(":")[0])["close_code"].agg(set)
    ends = ("stream_end", "stream_reset", "stalled")
    assert [{1000}, {1006}, {1006}] == [codes[name] for name in ends]


@after(all_ends)
def test_each_end_of_a_stream_stands_in_the_report(outcome):
    """By its name, in the table of errors."""
    page = (outcome.folder / "report.html").read_text("utf-8")
    for code in ("stream_end", "stream_reset", "stalled", "http_error_terminal"):
        assert f">{code}<" in page


@after(all_ends)
def test_stall_is_found_after_the_silence_that_the_target_allows(outcome):
    """And not before."""
    rows = outcome.table("connections")
    stalled = rows[rows["close_reason"] == f"stalled: silent for {STALLED_AFTER_S:g} s"]
    assert EACH == len(stalled)
    held_s = (stalled["closed_ns"] - stalled["join_start_ns"]) / 1e9
    assert (held_s > STALLED_AFTER_S).all()


patient = partial(
    run,
    fates=("stays", "falls silent") * EACH,
    subscribers=2 * EACH,
    client={"heartbeat_s": STALLED_AFTER_S / 2},
    **{"phases.measure_s": MEASURED_S},
)


@after(patient)
def test_stall_that_nobody_gives_up_is_counted_and_the_stream_stays(outcome):
    """As a browser has it: two heartbeats without a byte are an error, and no end."""
    assert {("receive", "stalled"): EACH} == errors_of(outcome), outcome.said
    assert {"run ended": 2 * EACH} == reasons_of(outcome)
    assert {f"no byte for more than {STALLED_AFTER_S:g} s"} == set(
        outcome.table("errors")["message"]
    )


refused = partial(run, fates=("stays",) * 4, subscribers=8)
unanswered = partial(
    run,
    fates=("stays",) * 4,
    subscribers=12,
    after_them="hangs",
    **{"joins.timeout_s": 4.0, "phases.measure_s": 5.0},
)


@after(refused)
def test_door_that_nobody_keeps_refuses_connects(outcome):
    """Four are in, and the other four meet a closed port."""
    assert {("connect", "connect_refused"): 4} == errors_of(outcome), outcome.said
    assert {"run ended": 4} == reasons_of(outcome)


@after(unanswered)
def test_full_accept_queue_lets_connects_time_out(outcome):
    """A listener with a backlog of 0 keeps one in its queue, who waits for an answer in vain."""
    errors = errors_of(outcome)
    assert {("subscribe", "timeout"), ("connect", "connect_timeout")} == set(errors), outcome.said
    assert (8, True) == (errors.total(), errors["connect", "connect_timeout"] > 4)
    assert {"run ended": 4} == reasons_of(outcome)
