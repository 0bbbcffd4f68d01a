"""The legacy service under a flash crowd, with seconds for minutes: the report shows the wait.

Nothing in the emulator says how long a client waits. Its servers are full, the kernel drops SYNs
and sends them again by its own times, and one server more comes some time after it was asked for.
"""

from tests.support.runs import EMULATED, ROOT, after

WORKLOAD = ROOT / "scenarios" / "workloads" / "legacy-flash-crowd.toml"
LEGACY = EMULATED.with_name("server-sent-events-legacy.toml")
SUBSCRIBERS, CHATTERS, CAPACITY, QUEUE = 76, 4, 30, 16
CROWD = {
    "population.subscribers": SUBSCRIBERS,
    "population.chatters": CHATTERS,
    "joins.rate_per_s": 40.0,
    "joins.timeout_s": 50.0,
    "publishing.rate_per_s": 10.0,
    "phases.settle_s": 0.5,
    "phases.warm_up_s": 0.5,
    "phases.measure_s": 20.0,  # The kernel's tries are 1, 3, 7 and 15 s after the first.
    "phases.drain_s": 2.0,
    "disturbances.0.at_s": 0.5,
    "slos.0.limit": 1000.0,
    "target.emulator.servers.count": 1,
    "target.emulator.servers.connections": CAPACITY,
    "target.emulator.servers.accept_queue": QUEUE,
    "target.emulator.scaling.servers": 2,
    "target.emulator.scaling.noticed_after_s": 0.5,
    "target.emulator.scaling.arrives_after_s": "{minimum=1.5,maximum=2.0}",
}


def crowded(launcher):
    """Let three times as many come as one server holds; two more arrive, one after the other."""
    return launcher.run(CROWD, workload=WORKLOAD, target=LEGACY).outcome()


def arrivals_s(outcome):
    """Return when each further server was there, in seconds of the run."""
    log = outcome.truth["log"]
    epoch_ns = outcome.run["epoch_ns"]
    return [(e["at_ns"] - epoch_ns) / 1e9 for e in log if e["what"] == "server_arrived"]


@after(crowded)
def test_crowd_gets_in_when_servers_arrive_and_the_report_says_how_long_it_waited(outcome):
    """Who finds no place waits for a server and for the kernel's next try; nobody is refused."""
    joins = outcome.summary["joins"]
    assert SUBSCRIBERS + CHATTERS == joins["attempted"] >= joins["succeeded"], outcome.said
    (crowd,) = outcome.run["disturbances"]
    first_s, last_s = arrivals_s(outcome)
    rows = outcome.table("connections")
    streams = rows[rows["user_class"] == "subscriber"]
    in_s = streams["join_start_ns"] + streams[["tcp_ms", "subscribe_ms"]].sum(axis=1) * 1e6
    in_s = (in_s - outcome.run["epoch_ns"]) / 1e9
    assert (in_s < first_s).sum() <= CAPACITY
    assert (in_s < last_s).sum() <= 2 * CAPACITY
    assert (in_s >= last_s).any()
    waited_s = last_s - crowd["start_s"] - 1.0
    assert joins["latency_ms"]["max"] / 1000 > waited_s > 1.0


@after(crowded)
def test_wait_fails_the_objective_and_stands_in_the_report(outcome):
    """The objective on joins is broken, by the figure that the page shows."""
    (slo,) = (each for each in outcome.summary["slos"] if each["metric"].startswith("joins."))
    assert "fail" == slo["verdict"]
    assert outcome.summary["joins"]["latency_ms"]["p99"] == slo["observed"]
    assert "Join latency" in (outcome.folder / "report.html").read_text("utf-8")
