"""A thousand users, every twentieth met by some hostility: the others' counts are exact."""

import base64
from collections import Counter

import pytest

from benchmarks.hostile_crowd import KEY_VARIABLE, PROTOCOLS, hub, scenario
from benchmarks.hostile_hub import GOOD, KEY, ONCE
from tests.support.runs import Launcher

MOST_BYTES = 1_000_000_000
"""Of the worker: half of what all incomplete messages may hold, and itself."""

SETTINGS: dict[str, object] = {"phases.measure_s": 3.0, "phases.drain_s": 5.0}
MARKS = ["foreign", "malformed", "altered", "misrouted", "duplicated"]
NAMES = {
    "one_byte_frames": "flood",
    "empty_frames": "flood",
    "pings": "flood",
    "oversize": "oversize",
    "closed_twice": "bye",
    "frame_reset": "Connection reset by peer",
    "endless_line": "oversize",
    "comments": "flood",
    "chunk_size": "protocol_error",
    "gzip_bomb": "oversize",
    "ended_twice": "stream_end",
    "chunk_reset": "stream_reset",
}
"""Beginning of the reason with which a connection that meets it ends."""


@pytest.fixture(scope="module", params=PROTOCOLS)
def met(request, tmp_path_factory):
    """How a run ended, the rows of its listeners, and the account of the hub."""
    folder = tmp_path_factory.mktemp("crowd")
    with hub() as serving:
        workload, target = scenario(folder, request.param, serving.port)
        running = Launcher(folder).run(
            SETTINGS, workload=workload, target=target, **{KEY_VARIABLE: KEY.decode()}
        )
        outcome = running.outcome()
        account = serving.account()
    rows = outcome.table("connections")
    return outcome, rows[rows.user_class == "subscriber"], account


def offenders(rows):
    """Return whose connection ended before the run, or brought what was not good."""
    return (rows.close_reason != "run ended") | rows[MARKS].any(axis=1)


@pytest.mark.slow
def test_hostile_connections_in_a_crowd_cost_the_others_nothing(met):
    """Of 950, all that was owed is delivered, and that is what the server sent to each of them."""
    _, rows, account = met
    good = rows[~offenders(rows)]
    sent = [one["sent"].get(GOOD, 0) for one in account if one["kind"] == GOOD]
    assert (950, 50) == (len(sent), offenders(rows).sum())
    assert sorted(sent) == sorted(good.received)
    assert good.owed.tolist() == good.delivered.tolist()
    assert 0 == good[["lost", "late"]].to_numpy().sum()
    assert good.owed.sum() > 950


@pytest.mark.slow
def test_each_hostility_in_a_crowd_is_counted_under_its_name(met):
    """As often as the server says."""
    _, rows, account = met
    sent = sum((Counter(one["sent"]) for one in account), Counter())
    told = dict(rows[MARKS].sum()) | {"foreign": rows.foreign.sum() - sent["not_utf8"]}
    assert {kind: sent[kind] for kind in MARKS} == told
    ended = Counter(NAMES[one["kind"]] for one in account if one["kind"] in ONCE)
    reasons = rows[rows.close_reason != "run ended"].close_reason
    assert ended == Counter(reason.partition(":")[0] for reason in reasons)


@pytest.mark.slow
def test_hostile_connections_in_a_crowd_leave_the_run_valid(met):
    """No traceback, no failed invariant, no more memory than the limits say."""
    outcome, _, _ = met
    assert ([], "") == (outcome.errors, "".join(outcome.left))
    assert "Traceback" not in outcome.said
    assert "invalid" != outcome.run["verdict"], outcome.stdout
    assert outcome.summary["generator"]["rss_bytes_peak"] < MOST_BYTES


@pytest.mark.slow
def test_key_that_hostile_connections_in_a_crowd_repeat_is_shown_by_its_name(met):
    """In events, reasons and sizes of chunks, plain and in base64: in no file, and not printed."""
    outcome, _, _ = met
    everything = outcome.everything
    encoded = [base64.b64encode(bytes(place) + KEY)[4:20] for place in range(3)]
    assert [] == [form for form in (KEY, *encoded) if form in everything]
    assert f"***{KEY_VARIABLE}***".encode() in everything
    assert "\x1b[2J" not in outcome.said
