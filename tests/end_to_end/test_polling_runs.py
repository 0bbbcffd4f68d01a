from functools import partial

from tests.support.runs import EMULATED, SHORT, after

OFTEN = SHORT | {"target.client.interval_s": 0.5}
DROPPED = 7


def run(launcher, system, **settings):
    """Run the smoke workload on the emulator of a system."""
    target = EMULATED.with_name(f"{system}-emulated.toml")
    return launcher.run(OFTEN | settings, target=target).outcome()


polling = partial(run, system="polling")
dropping = partial(
    run,
    system="polling",
    **{"target.emulator.faults": f'[{{kind="drop",count={DROPPED},from_s=3.0}}]'},
)
hybrid = partial(run, system="hybrid")
hybrid_over_tls = partial(run, system="hybrid", **{"target.emulator.tls": "true"})


def received(outcome):
    """Return how many deliveries each class of users got."""
    return outcome.table("connections").groupby("user_class")["received"].sum().to_dict()


@after(polling)
def test_polls_bring_everything_that_the_emulator_sent(outcome):
    """Nothing is lost, although the drain asked for is shorter than a poll's round."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    deliveries = outcome.summary["deliveries"]
    assert deliveries["received"] == deliveries["owed"] > 0
    assert outcome.truth["stats"]["deliveries"]["sent"] == sum(received(outcome).values())
    population = outcome.summary["population"]
    everybody = population["subscribers_peak"] + population["chatters_peak"]
    assert everybody == population["pollers_peak"]


@after(polling)
def test_messages_wait_for_the_next_poll(outcome):
    """Sent at any time between two polls of 0.5 s, half of them wait for about half of it."""
    assert outcome.summary["fan_out_latency_ms"]["p50"] > 150


@after(dropping)
def test_each_message_that_a_fault_drops_is_missed(outcome):
    """To the last one."""
    assert DROPPED == outcome.truth["stats"]["deliveries"]["dropped"]["fault"]
    deliveries = outcome.summary["deliveries"]
    assert DROPPED == deliveries["lost"] + deliveries["missed_before_measuring"]


@after(hybrid)
def test_both_halves_of_the_hybrid_get_what_their_half_sent(outcome):
    """Chatters by their sockets, viewers by their polls, in one run and one report."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    assert 0 == outcome.summary["deliveries"]["lost"]
    told = outcome.truth["stats"]
    sent = {
        "chatter": told["deliveries"]["sent"],
        "subscriber": told["polling"]["deliveries"]["sent"],
    }
    assert sent == received(outcome)
    population = outcome.summary["population"]
    assert population["subscribers_peak"] == population["pollers_peak"] > 0


@after(hybrid)
def test_latencies_of_the_two_kinds_of_users_stand_apart(outcome):
    """Whoever holds a socket does not wait for a poll; the report has a row for each."""
    page = (outcome.folder / "report.html").read_text("utf-8")
    assert "at subscribers" in page
    assert "at chatters" in page


@after(hybrid)
def test_run_is_billed_for_sockets_and_for_polls(outcome):
    """Deliveries to sockets as operations, polls as requests."""
    operations, told = outcome.summary["cost"]["operations"], outcome.truth["stats"]
    assert told["deliveries"]["sent"] == round(operations["outbound"])
    assert told["billed"]["polls"] == round(operations["polls"]) > 0


@after(hybrid_over_tls)
def test_hybrid_runs_over_tls(outcome):
    """One port, one certificate, both protocols."""
    assert (0, 0) == (outcome.exit_code, outcome.summary["deliveries"]["lost"])
