"""Whole runs against nchan, a real server of all three kinds, and against its own count.

It promises no order among messages that reach it on several connections: its processes take them
at the same time. So none is asked for here.
"""

import re
import socket
import tomllib
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.programs import Program
from benchmarks.senders import mount_prefix
from benchmarks.tools import NCHAN, NGINX, NGINX_MODULE, cache_folder
from tests.support.paths import SCENARIOS
from tests.support.ports import free_port
from tests.support.runs import SHORT, Launcher
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.end_to_end

TARGETS, CROWD = SCENARIOS / "targets", SCENARIOS / "workloads" / "flash-crowd.toml"
SUBSCRIBERS, CHATTERS = 60, 20
PEOPLE = {"population.subscribers": SUBSCRIBERS, "population.chatters": CHATTERS}
ROOMS = {"channels.count": 5, "channels.zipf_skew": 1.0, "channels.subscriptions_per_client": 3}


class Nchan:
    """The nginx below ``root``, with the configuration that comes with the target."""

    def __init__(self, root, folder):
        self.port = free_port()
        text = (TARGETS / "nchan.conf").read_text("utf-8")
        for old, new in (
            ("/usr/lib/nginx/modules/ngx_nchan_module.so", str(root / NGINX_MODULE)),
            ("127.0.0.1:18080", f"127.0.0.1:{self.port}"),
            ("/tmp/nchan.pid", str(folder / "nchan.pid")),  # noqa: S108 - the documented one
            ("daemon off;", "daemon off;\nuser root;"),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "nchan.conf").write_text(text, "utf-8")
        files = ["-e", str(folder / "error.log"), "-c", str(folder / "nchan.conf")]
        command = [*mount_prefix(), str(root / NGINX), "-p", str(folder), *files]
        self.program = Program(command, folder / "nginx.log")
        wait_for(self._listens, "nginx to listen")

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def count(self, name):
        """Return a figure of nchan's status page."""
        address = f"http://127.0.0.1:{self.port}/stats"
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as page:
            text = page.read().decode()
        return int(dict(re.findall(r"^(.+): (\d+)", text, re.MULTILINE))[name])

    def settings(self, target):
        """Return the overrides that point a target at this server."""
        return {
            f"target.endpoints.{name}": address.replace(":18080/", f":{self.port}/")
            for name, address in tomllib.loads(target.read_text("utf-8"))["endpoints"].items()
        }


@pytest.fixture
def nchan(tmp_path):
    """Start nchan on a port of its own."""
    roots = (Path("/"), cache_folder() / NCHAN.name)
    root = next((root for root in roots if all((root / f).exists() for f in NCHAN.files)), None)
    if root is None:
        pytest.skip("nginx with nchan is not installed (Debian: nginx, libnginx-mod-nchan)")
    server = Nchan(root, tmp_path)
    yield server
    server.program.stop()


def published_in(outcome):
    """Return how many messages were sent; a chatter who has not joined yet sends none."""
    sent = pq.read_table(outcome.folder / "messages.parquet", columns=["sent_ns"])["sent_ns"]
    return len(sent) - sent.null_count


def complete(running, least=SUBSCRIBERS):
    """Return the outcome of a run that delivered what it owed, each once, and more than so many."""
    outcome = running.outcome()
    assert outcome.exit_code == 0, outcome.said
    deliveries = outcome.summary["deliveries"]
    assert deliveries["received"] == deliveries["owed"] > least
    assert deliveries["lost"] == deliveries["duplicated"] == 0
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nchan-sse", "nchan-websocket"])
def test_run_counts_what_nchans_status_page_counts(name, nchan, tmp_path):
    """Subscribers, messages and deliveries agree to the last one, and nothing is lost."""
    launcher, target = Launcher(tmp_path), TARGETS / f"{name}.toml"
    running = launcher.run(SHORT | PEOPLE | nchan.settings(target), target=target)
    everybody = 0

    def over():
        nonlocal everybody
        everybody = max(everybody, nchan.count("subscribers"))
        return running.process.poll() is not None

    wait_for(over, "the end of the run")
    outcome = complete(running)
    assert everybody == outcome.summary["population"]["subscribers_peak"] + CHATTERS
    assert published_in(outcome) == nchan.count("total published messages")
    assert 0 == outcome.summary["deliveries"]["unexpected"]


@pytest.mark.slow
def test_flash_crowds_join_nchan_by_each_protocol_and_miss_nothing(nchan, tmp_path):
    """The workload as it is, with a hundred people: eighty come at once, three times over."""
    people = {"population.subscribers": 90, "population.chatters": 10}
    phases = {key: value for key, value in SHORT.items() if key.startswith("phases.")}
    soon = {"disturbances.0.at_s": 0.5, "phases.measure_s": 4.0, "slos.2.limit": 60_000.0}
    launcher, commands = Launcher(tmp_path), []
    for name in ("nchan-sse", "nchan-websocket", "nchan-polling"):
        target = TARGETS / f"{name}.toml"
        apart = {"target.channel_namespace": name}
        often = {"target.client.interval_s": 0.5} if name == "nchan-polling" else {}
        settings = phases | people | soon | apart | often | nchan.settings(target)
        commands.append(launcher.run(settings, workload=CROWD, target=target))
    outcomes = [complete(running, 100) for running in commands]
    for outcome in outcomes:
        joins = outcome.summary["joins"]
        assert (100, 0) == (joins["succeeded"], joins["failed"])
    assert sum(map(published_in, outcomes)) == nchan.count("total published messages")


@pytest.mark.slow
def test_polls_bring_all_that_nchan_has_published(nchan, tmp_path):
    """Each message comes once to each who polls, by the validators of the one before."""
    launcher, target = Launcher(tmp_path), TARGETS / "nchan-polling.toml"
    settings = SHORT | PEOPLE | {"target.client.interval_s": 0.5} | nchan.settings(target)
    outcome = complete(launcher.run(settings, target=target))
    assert published_in(outcome) == nchan.count("total published messages")
    assert outcome.summary["population"]["pollers_peak"] == SUBSCRIBERS + CHATTERS
    assert outcome.summary["fan_out_latency_ms"]["p50"] > 100


@pytest.mark.slow
def test_streams_of_three_rooms_bring_all_that_is_published_in_them(nchan, tmp_path):
    """The address is split at its commas; each message comes once to each who is in its room."""
    launcher, target = Launcher(tmp_path), TARGETS / "nchan-sse.toml"
    settings = SHORT | PEOPLE | ROOMS | nchan.settings(target)
    outcome = complete(launcher.run(settings, target=target))
    connections = pq.read_table(outcome.folder / "connections.parquet").to_pandas()
    assert {3} == set(connections["channel"].str.split(" ").map(len))
    assert 0 == outcome.summary["deliveries"]["unexpected"]
    assert published_in(outcome) == nchan.count("total published messages")
