import tomllib
from functools import partial

import pytest

from harness.analysis.run.histograms import read_histograms
from harness.core.clock import NS_PER_S
from tests.support.runs import EMULATED, ROOT, SHORT, after, after_each

WORKLOADS = ROOT / "scenarios" / "workloads"
EMULATED_TLS = EMULATED.with_name("appsync-events-emulated-tls.toml")
PATIENT_MS = 60_000.0


def run(launcher, name, target, **settings):
    """Run a workload for three seconds, at its own rate and with its latency SLO out of reach."""
    shortened = {key: value for key, value in SHORT.items() if key.startswith("phases.")}
    running = launcher.run(
        shortened | {"phases.measure_s": 3.0} | settings,
        workload=WORKLOADS / f"{name}.toml",
        target=target,
    )
    return running.outcome()


def ingest(launcher, target, **settings):
    return run(launcher, "ingest", target, **{"slos.3.limit": PATIENT_MS}, **settings)


def big_events(launcher, target):
    return run(launcher, "big-events", target, **{"slos.2.limit": PATIENT_MS})


plain_ingest = partial(ingest, target=EMULATED)
tls_ingest = partial(ingest, target=EMULATED_TLS, **{"publishing.transport": "http"})
plain_big_events = partial(big_events, target=EMULATED)
tls_big_events = partial(big_events, target=EMULATED_TLS)


@after_each({"websocket": plain_ingest, "HTTP and TLS": tls_ingest})
def test_ingest_over_each_transport(outcome):
    """3,000 events in batches of five: none is throttled and each reaches its one subscriber."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    assert 3000 == outcome.summary["publishes"]["acknowledged"]
    assert 0 == outcome.summary["publishes"]["throttled"]
    assert 0 == outcome.summary["deliveries"]["lost"]


@after(plain_ingest)
def test_record_holds_no_key(outcome):
    """Neither the emulator's own key nor any part of the plan that would let somebody in."""
    files = [file for file in outcome.folder.rglob("*") if file.is_file()]
    assert {"run.json", "report.html"} <= {file.name for file in files}
    assert [] == [file.name for file in files if b"da2-emulator-local" in file.read_bytes()]
    assert "(hidden)" in (outcome.folder / "run.json").read_text(encoding="utf-8")


@after_each({"plain": plain_big_events, "each delivery many TLS records": tls_big_events})
def test_big_events(outcome):
    """Events of each size are published and reach everybody they are owed to."""
    assert (0, []) == (outcome.exit_code, outcome.errors)
    messages = outcome.table("messages")
    assert {5500, 33_000, 240_000} == set(messages["bytes"])
    assert messages["owed"].min() > 0
    assert messages["owed"].tolist() == messages["delivered"].tolist()


# Every workload on every system: the same file, whatever it runs on.

SYSTEMS = ("api-gateway-websocket", "appsync-events", "hybrid", "polling", "server-sent-events")
POLLING_CLASSES = {"polling": {"subscriber", "chatter"}, "hybrid": {"subscriber"}}
INTERVAL_S = 0.5


def small(launcher, name, system, subscribers=90, chatters=10, **settings):
    """Run a workload with a hundred people, who poll often where they poll."""
    target = EMULATED.with_name(f"{system}-emulated.toml")
    population = {"population.subscribers": subscribers, "population.chatters": chatters}
    often = {"target.client.interval_s": INTERVAL_S} if system in POLLING_CLASSES else {}
    shortened = {key: value for key, value in SHORT.items() if key.startswith("phases.")}
    flags = shortened | {"phases.measure_s": 4.0} | population | often | settings
    file = WORKLOADS / f"{name}.toml"
    return launcher.run(flags | within_reach(file), workload=file, target=target).outcome()


def within_reach(file):
    """Return the overrides of SLOs that a hundred people on a busy machine could not meet."""
    limits = {"fan_out_latency_ms": PATIENT_MS, "joins": PATIENT_MS, "population": 0}
    return {
        f"slos.{place}.limit": limits[slo["metric"].partition(".")[0]]
        for place, slo in enumerate(tomllib.loads(file.read_text("utf-8"))["slos"])
        if slo["metric"].partition(".")[0] in limits and slo["op"] != "=="
    }


def truths(outcome):
    """Return deliveries as the emulator counted them, for each of its parts."""
    stats = outcome.truth["stats"]
    return [part["deliveries"] for part in (stats, stats.get("polling")) if part]


def assert_ledger_agrees(outcome, users):
    """Everybody is in, nothing is lost, and all that was sent was counted, to the last one."""
    assert (0, []) == (outcome.exit_code, outcome.errors), outcome.said
    connections = outcome.table("connections")
    messages = outcome.table("messages")
    assert users == connections["joined"].sum()
    assert [0] * len(truths(outcome)) == [told["pending"] for told in truths(outcome)]
    sent = sum(told["sent"] + told["duplicated"] for told in truths(outcome))
    assert sent == connections["received"].sum() > 0
    owed = sum(told["owed"] - sum(told["dropped"].values()) for told in truths(outcome))
    assert owed == connections["delivered"].sum() + connections["unexpected"].sum()
    assert messages["owed"].sum() == messages["delivered"].sum() == connections["delivered"].sum()
    assert 0 == messages["lost"].sum() == messages["duplicated"].sum()
    pollers = (
        connections["user_class"]
        .isin(POLLING_CLASSES.get(outcome.run["plan"]["target"]["system"], ()))
        .sum()
    )
    assert pollers == outcome.summary["population"]["pollers_peak"]


def at_once(share):
    """The flash crowd of the workload, early in a measured phase that is short."""
    return {"disturbances.0.at_s": 0.5, "disturbances.0.share": share}


def on_every_system(name, **settings):
    """Return a running command a system: the small run of a workload on it."""
    return {s: partial(small, name=name, system=s, **settings) for s in SYSTEMS}


MEDIAN = {"slos.4.metric": '"fan_out_latency_ms.p50"'}
two_kinds = partial(small, name="hybrid", system="hybrid", **MEDIAN)


quick_start = partial(small, name="quickstart", system="server-sent-events")


@pytest.mark.smoke
@after(quick_start)
def test_quickstart_on_streams_of_events_loses_nothing(outcome):
    """A hundred people in one room; the ledger is the emulator's, to the last delivery."""
    assert_ledger_agrees(outcome, users=100)


@after_each(on_every_system("flash-crowd", **at_once(0.8)))
def test_flash_crowd_runs_unchanged_on_every_system(outcome):
    """Eighty of a hundred come at once while messages flow; nobody loses any."""
    assert_ledger_agrees(outcome, users=100)
    (crowd,) = outcome.run["disturbances"]
    starts_s = (outcome.table("connections")["join_start_ns"] - outcome.run["epoch_ns"]) / NS_PER_S
    assert (starts_s >= crowd["start_s"]).sum() >= 80


@after(two_kinds)
def test_hybrid_workload_judges_each_kind_of_user_by_its_own_objectives(outcome):
    """Chatters by what their sockets bring, viewers by what their polls do, in one run."""
    assert_ledger_agrees(outcome, users=100)
    judged = [slo for slo in outcome.summary["slos"] if slo.get("user_class")]
    assert ["chatter", "subscriber", "subscriber"] == [slo["user_class"] for slo in judged]
    assert {"pass"} == {slo["verdict"] for slo in judged}
    found = read_histograms(outcome.folder / "histograms.hlog")
    for slo in judged[:2]:
        block, _, name = slo["metric"].partition(".")
        assert slo["observed"] == found.block_ms(block, user_class=slo["user_class"])[name]
    assert judged[1]["observed"] > 1000 * INTERVAL_S / 4
