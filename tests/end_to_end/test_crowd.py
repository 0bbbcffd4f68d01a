"""Fifteen hundred users of the reference workload: two workers, two emulator processes."""

import time
from pathlib import Path

import psutil

from tests.support.runs import ROOT, after
from tests.support.waiting import PATIENCE_S, wait_for

REFERENCE = ROOT / "scenarios" / "workloads" / "reference.toml"
SUBSCRIBERS, CHATTERS = 1286, 214
USERS = SUBSCRIBERS + CHATTERS
CROWD = {
    "population.subscribers": SUBSCRIBERS,
    "population.chatters": CHATTERS,
    "joins.rate_per_s": 1000.0,
    "publishing.messages_per_day": 50_000,
    "phases.settle_s": 5.0,  # Room for joins that a busy machine delays.
    "phases.warm_up_s": 1.0,
    "phases.measure_s": 6.0,
    "phases.drain_s": 2.0,
    # Counts are judged here, by the test; how fast the messages came is for a machine at rest.
    "slos": "[]",
}
OPEN = {"01", "02", "03", "04", "05", "08", "09", "0B"}
"""States of a TCP connection that has not been closed by both sides (``net/tcp_states.h``)."""


def connections_of(port):
    """Return how many ends of open connections to a port of this machine the kernel knows."""
    ending = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(row[3] in OPEN and ending in (row[1][-5:], row[2][-5:]) for row in rows)


def listening_port(pid):
    """Return the port that an emulator's process serves on."""
    sockets = psutil.Process(pid).net_connections("tcp")
    return next(one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN)


def all_ends(port):
    """Return how many ends of connections are open; None before everybody's are."""
    held = connections_of(port)
    return held if held >= 2 * USERS else None


def now_and_then(_):
    """Rest between two looks at the kernel's table, which is long."""
    time.sleep(0.2)


def crowd(launcher):
    """Return how the run ended, most open ends of connections, and when all were closed."""
    flags = ("--workers", 2, "--set", "target.emulator.processes=2")
    running = launcher.run(CROWD, *flags, workload=REFERENCE).until_second(0)
    port = listening_port(running.emulator())
    held = wait_for(lambda: all_ends(port), "everybody to be connected", sleep=now_and_then)
    wait_for(lambda: connections_of(port) == 0, "the connections to be closed", sleep=now_and_then)
    closed_s = time.time()
    return running.outcome(), held, closed_s


@after(crowd)
def test_crowd_gets_every_message_once(outcome):
    """All join, and what is owed arrives once."""
    outcome, held, _ = outcome
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left), outcome.said
    assert "pass" == outcome.summary["verdict"]
    joins, deliveries = outcome.summary["joins"], outcome.summary["deliveries"]
    assert (USERS, USERS, 0) == (joins["attempted"], joins["succeeded"], joins["failed"])
    assert deliveries["received"] == deliveries["owed"] > 0
    assert 0 == deliveries["lost"] == deliveries["duplicated"] == deliveries["late"]
    assert held >= 2 * USERS


@after(crowd)
def test_crowd_is_spread_over_all_processes(outcome):
    """Each worker holds half of the users of each class."""
    outcome, _, _ = outcome
    found = outcome.table("connections").groupby("worker")["user_class"].value_counts().to_dict()
    halves = {"subscriber": SUBSCRIBERS // 2, "chatter": CHATTERS // 2}
    expected = {(worker, kind): half for worker in (0, 1) for kind, half in halves.items()}
    assert expected == found


@after(crowd)
def test_crowd_leaves_in_time_and_in_silence(outcome):
    """The kernel holds no connection of the run soon after its end, and no log has a traceback."""
    outcome, _, closed_s = outcome
    run = outcome.run
    end_s = run["epoch_ns"] / 1e9 + run["phases"][-1]["end_s"]
    assert closed_s - end_s < PATIENCE_S
    logs = [file.read_text("utf-8", "replace") for file in outcome.folder.glob("*.log")]
    assert not any("Traceback" in text for text in (*logs, outcome.said))
