import contextlib
from functools import partial

from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.runs import LONG, SHORT, after, elsewhere

KEY = "da2-of-the-test"


def on(launcher, host, *flags, settings=SHORT):
    """Return a running command on a system that this run has not started."""
    folder = launcher.new_folder()
    file = folder / "elsewhere.toml"
    file.write_text(elsewhere(f"http://{host}/event"), encoding="utf-8")
    variables = {"END_TO_END_KEY": KEY, "XDG_CONFIG_HOME": str(folder), "HARNESS_OWNED_TARGETS": ""}
    return launcher.run(settings, *flags, target=file, **variables)


def at_a_strangers(launcher):
    return on(launcher, "192.0.2.7:8080").outcome()


@after(at_a_strangers)
def test_target_elsewhere_is_asked_about_before_anything_is_sent(outcome):
    """Exit 2 at once, with the way out; nothing was made."""
    assert 2 == outcome.exit_code
    (sentence,) = outcome.errors
    assert "192.0.2.7 is not on the list of systems that you own" in sentence
    assert "--i-own-this-target" in outcome.stderr
    assert not outcome.folder.exists()


@contextlib.contextmanager
def other_emulator():
    with AppSyncEventsEmulator.start(Options(api_keys=(KEY,))) as emulator:
        yield f"127.0.0.1:{emulator.port}"


def at_most_usd(launcher, usd):
    with other_emulator() as host:
        return on(launcher, host, "--max-usd", usd).outcome()


too_dear = partial(at_most_usd, usd="0.000001")
affordable = partial(at_most_usd, usd="5")


@after(too_dear)
def test_run_that_costs_more_than_it_may_does_not_start(outcome):
    """What it would do and cost is told first."""
    assert 2 == outcome.exit_code
    assert "deliveries in" in outcome.stderr.splitlines()[0]
    (sentence,) = outcome.errors
    assert "--max-usd: the run will cost about $0.00" in sentence
    assert ", at most $0.000001 allowed" in sentence
    assert not outcome.folder.exists()


@after(affordable)
def test_run_that_is_affordable_runs_to_its_end(outcome):
    """On this machine nobody is asked whose it is; the key is kept nowhere."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    assert "at list prices" in outcome.stderr.splitlines()[0]
    assert 0 == outcome.summary["deliveries"]["lost"]
    assert KEY.encode() not in outcome.everything


def stormy(launcher):
    settings = {"target.emulator.quotas.inbound_events_per_s": 0.001, "safety.error_storm_s": 3.0}
    return launcher.run(LONG | settings).outcome()


@after(stormy)
def test_error_storm_ends_the_run_in_order(outcome):
    """Exit 4 before its time; the verdict tells what happened, and nothing is left."""
    assert (4, []) == (outcome.exit_code, outcome.left)
    assert ("aborted", "error_storm") == (outcome.run["status"], outcome.run["cause"]["code"])
    assert "invalid" == outcome.summary["verdict"]
    assert "joins and publishes of the last 3 s failed" in outcome.run["cause"]["message"]


@after(stormy)
def test_throttled_chatters_keep_silent(outcome):
    """Fewer publishes reach the system than were due; the run warns of the others."""
    publishes = outcome.summary["publishes"]
    assert 0 < publishes["throttled"] <= publishes["sent"] < publishes["offered"]
    assert "publishes_not_sent" in {each["code"] for each in outcome.summary["warnings"]}
    assert b"BackedOff" in (outcome.folder / "errors.parquet").read_bytes()
