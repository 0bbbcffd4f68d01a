"""Our client against a service made of aiohttp that names everything differently."""

import contextlib
import http.client
import json
import random
import socket
import ssl
import subprocess
import sys
import time

import gevent
import pytest
import trustme

from harness.net.client import Access, JoinError
from harness.systems.polling.client.poller import PollingApi
from harness.systems.polling.client.timing import Pace
from harness.systems.polling.options import ClientOptions
from tests.support.listeners import Listener, refusal_of, wait_for
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"
INTERVAL_S = 0.05
SERVICE = ROOT / "tests/support/polling_service.py"
NAMES = {
    "cursor_parameter": "since",
    "messages_path": "found.entries",
    "cursor_path": "cursor",
    "interval_path": "wait",
}


class Service:
    """The service's process, and what it tells of the polls it got."""

    def __init__(self, idle_s=60.0, certificate=None, trust=None):
        command = [sys.executable, SERVICE, str(idle_s), *([certificate] if certificate else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.port = int(self._process.stdout.readline())
        self._base = f"http{'s' if certificate else ''}://{HOST}:{self.port}"
        self._trust = trust

    def api(self, **options):
        """Return our side of it."""
        address = f"{self._base}/rooms/{{channel}}"
        asked = ClientOptions(**NAMES | {"interval_s": INTERVAL_S} | options)
        return PollingApi(Access(address, address, "secret", self._trust, options=asked))

    def publish(self, room, *texts):
        """Publish with the standard library."""
        for text in texts:
            self._ask("POST", f"/rooms/{room}", text)

    def polls(self, room):
        """Return the polls of a room so far."""
        return [poll for poll in json.loads(self._ask("GET", "/log")) if poll["room"] == room]

    def _ask(self, method, path, body=None):
        place = (HOST, self.port)
        with contextlib.closing(
            http.client.HTTPSConnection(*place, timeout=PATIENCE_S, context=self._trust)
            if self._trust
            else http.client.HTTPConnection(*place, timeout=PATIENCE_S)
        ) as connection:
            connection.request(method, path, body)
            return connection.getresponse().read()

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def service():
    """A service for all tests; each has a room of its own."""
    with contextlib.closing(Service()) as started:
        yield started


@contextlib.contextmanager
def joined(service, room, **options):
    """One user who has joined a room; yields its client and its listener."""
    listener = Listener()
    with contextlib.closing(service.api(**options)) as api:
        client = api.client([f"/{room}"], {}, listener)
        client.join(time.monotonic() + PATIENCE_S)
        yield client, listener
        client.drop()
    assert [] == listener.ends


def test_what_is_published_after_the_join_comes_once_and_in_order(service):
    """What was there before is left alone; the cursor goes with each poll."""
    service.publish("order", "before")
    with joined(service, "order") as (client, listener):
        service.publish("order", "a", "b")
        wait_for(lambda: len(listener.heard) == 2)
        service.publish("order", "c")
        wait_for(lambda: len(listener.heard) == 3)
        gevent.sleep(4 * INTERVAL_S)
        assert client.open
    assert (["a", "b", "c"], []) == (listener.heard, listener.refusals)
    cursors = [poll["since"] for poll in service.polls("order")]
    assert (None, "1", "4") == (cursors[0], cursors[1], cursors[-1])


def test_polls_name_the_etag_and_carry_the_key(service):
    """Where nothing is new the service answers 304, and the next poll asks the same."""
    with joined(service, "quiet") as (_, listener):
        wait_for(lambda: len(service.polls("quiet")) > 3)
    first, *others = service.polls("quiet")
    assert "if-none-match" not in first["headers"]
    assert {'"0"'} == {poll["headers"]["if-none-match"] for poll in others}
    assert "Bearer secret" == first["headers"]["authorization"]
    assert [] == listener.refusals


def test_second_user_recognises_what_the_first_has_read(service):
    """Equal answers are read once: the token comes from the frame_cache."""
    frame_cache, listeners = {}, (Listener(), Listener())
    with contextlib.closing(service.api()) as api:
        clients = [api.client(["/frame_cache"], frame_cache, listener) for listener in listeners]
        for client in clients:
            client.join(time.monotonic() + PATIENCE_S)
        service.publish("frame_cache", "a")
        wait_for(lambda: all(listener.heard for listener in listeners))
        for client in clients:
            client.drop()
    assert [["a"], ["a"]] == [listener.heard for listener in listeners]
    assert {b"a": "a"} == frame_cache


@pytest.mark.parametrize(("reuse", "connections"), [(True, 1), (False, 4)])
def test_connection_is_kept_or_not_as_the_options_say(service, reuse, connections):
    """Kept, all polls come from one port; else each from another."""
    room = f"reuse-{reuse}"
    with joined(service, room, reuse_connections=reuse):
        wait_for(lambda: len(service.polls(room)) >= 4)
    assert connections == len({poll["port"] for poll in service.polls(room)[:4]})


def test_service_that_hangs_up_after_each_answer_costs_no_error(service):
    """Its "Connection: close" is obeyed."""
    with joined(service, "hangs-up") as (_, listener):
        service.publish("hangs-up", "a")
        wait_for(lambda: listener.heard == ["a"])
        wait_for(lambda: len(service.polls("hangs-up")) > 4)
    assert [] == listener.refusals
    assert 3 == len({poll["port"] for poll in service.polls("hangs-up")[:3]})


def test_idle_connection_that_the_service_closes_costs_no_error():
    """Its keep-alive is shorter than the interval; the next poll comes on another connection."""
    service = Service(idle_s=0.1)
    with contextlib.closing(service), joined(service, "idle", interval_s=0.6) as (_, listener):
        wait_for(lambda: len({poll["port"] for poll in service.polls("idle")}) > 1)
        service.publish("idle", "a")
        wait_for(lambda: listener.heard == ["a"])
        assert [] == listener.refusals


def test_answer_in_chunks_is_put_together(service):
    """A coding that the server chose is undone."""
    with joined(service, "pieces") as (_, listener):
        service.publish("pieces", "x" * 100_000)
        wait_for(lambda: listener.heard)
    assert ["x" * 100_000] == listener.heard


def test_interval_that_the_service_names_is_kept(service):
    """It says 250 ms where the options say 50; from the second wait on they are whole ones."""
    with joined(service, "paced", jitter_ratio=0.0):
        wait_for(lambda: len(service.polls("paced")) >= 8)
    times_s = [poll["at_s"] for poll in service.polls("paced")]
    # A busy service notes a poll late; six waits of 250 ms are still far from six of 50.
    assert times_s[7] - times_s[1] > 0.9


def test_interval_that_the_service_names_may_be_ignored(service):
    """A client that does not follow polls four times as often."""
    with joined(service, "paced", follow_server_interval=False) as (client, _):
        assert 0.05 == client._pace.interval_s


def test_retry_after_is_kept_and_counted(service):
    """The poll after a 429 comes no sooner than it says."""
    with joined(service, "busy") as (_, listener):
        wait_for(lambda: len(service.polls("busy")) >= 3)
        service.publish("busy", "a")
        wait_for(lambda: listener.heard == ["a"])
    assert [("poll", "HTTP 429")] == listener.refused_at
    times_s = [poll["at_s"] for poll in service.polls("busy")]
    assert times_s[2] - times_s[1] >= 1.0


@pytest.mark.parametrize(("room", "code"), [("broken", "HTTP 500"), ("nonsense", "protocol_error")])
def test_bad_answer_is_an_error_and_the_next_poll_brings_all(service, room, code):
    """The user stays, and nothing that was published meanwhile is lost."""
    with joined(service, room) as (_, listener):
        service.publish(room, "a")
        wait_for(lambda: listener.heard == ["a"])
    assert [("poll", code)] == listener.refused_at


def test_poll_that_is_not_answered_in_time_is_given_up(service):
    """The next one comes on another connection and brings what was missed."""
    with joined(service, "slow", timeout_s=5.0) as (_, listener):
        service.publish("slow", "a")
        wait_for(lambda: listener.heard == ["a"])
    assert [("poll", "timeout")] == listener.refused_at
    assert 2 == len({poll["port"] for poll in service.polls("slow")})


def test_join_that_is_refused_says_the_status(service):
    """The first poll decides."""
    with contextlib.closing(service.api()) as api, pytest.raises(JoinError) as failure:
        api.client(["/closed-forever"], {}, Listener()).join(time.monotonic() + PATIENCE_S)
    assert ("subscribe", "HTTP 503") == (failure.value.stage, failure.value.code)
    assert 0.0 == failure.value.asked_wait_s


@pytest.mark.parametrize("status", [429, 503])
def test_join_that_is_refused_for_now_says_how_long_to_wait(service, status):
    """The first poll's Retry-After goes to whoever would join again."""
    with contextlib.closing(service.api()) as api, pytest.raises(JoinError) as failure:
        api.client([f"/busy-at-first-{status}"], {}, Listener()).join(time.monotonic() + PATIENCE_S)
    found = failure.value
    assert (f"HTTP {status}", 7.0) == (found.code, found.asked_wait_s)


def test_join_where_nobody_listens_fails_at_connect():
    """With the kernel's own code."""
    with socket.create_server((HOST, 0)) as gone:
        address = f"http://{HOST}:{gone.getsockname()[1]}/{{channel}}"
    api = PollingApi(Access(address, address, "", options=ClientOptions()))
    client = api.client(["/room"], {}, Listener())
    with contextlib.closing(api):
        refusal = refusal_of(client.join, time.monotonic() + PATIENCE_S)
    assert ("connect", "ECONNREFUSED") == refusal
    assert not client.open


def test_paused_user_takes_nothing_until_it_goes_on(service):
    """It neither polls nor reads, and it misses nothing."""
    with joined(service, "paused") as (client, listener):
        client.pause(paused=True)
        service.publish("paused", "a")
        gevent.sleep(5 * INTERVAL_S)
        assert [] == listener.heard
        client.pause(paused=False)
        wait_for(lambda: listener.heard == ["a"])


def test_user_that_is_dropped_polls_no_more(service):
    """Not even where a poll was due."""
    with joined(service, "gone") as (client, _):
        client.close()
        assert not client.open
        before = len(service.polls("gone"))
        gevent.sleep(5 * INTERVAL_S)
    assert before == len(service.polls("gone"))


def test_polls_over_tls_are_confirmed_at_the_kernels_time(tmp_path):
    """The same path with a certificate that is checked."""
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(certificate)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with contextlib.closing(Service(certificate=certificate, trust=trust)) as service:
        before_ns = time.time_ns()
        with joined(service, "tls") as (_, listener):
            service.publish("tls", "a")
            wait_for(lambda: listener.heard == ["a"])
            assert before_ns < listener.confirmed_ns < time.time_ns()


def test_publish_is_posted_and_answered(service):
    """By a user that only publishes, who holds no connection."""
    listener = Listener()
    with contextlib.closing(service.api()) as api:
        client = api.client([], {}, listener)
        client.join(time.monotonic() + PATIENCE_S)
        client.publish("p", "/posted", [b"a", b"b"])
        wait_for(lambda: listener.answers)
        assert ("p", True) == (listener.answers[0].publish_id, listener.answers[0].accepted)
    with joined(service, "posted") as (_, reader):
        service.publish("posted", "c")
        wait_for(lambda: reader.heard)
    assert ["c"] == reader.heard
    assert "2" == service.polls("posted")[1]["since"]


def test_mean_delay_is_half_an_interval(monkeypatch):
    """Messages at any time meet waits W of T·U(0.9, 1.1): their mean delay is E[W²] / 2 E[W].

    That is T/2 · (1 + 0.1²/3), 2.508 s for 5 s; the longest is 1.1 T.
    """
    rng = random.Random(7)
    monkeypatch.setattr("harness.systems.polling.client.timing.random", rng)
    delays_s = []
    for _ in range(400):
        pace = Pace(ClientOptions())
        polls_s = [pace.wait_s()]
        while polls_s[-1] < 300.0:
            polls_s.append(polls_s[-1] + pace.wait_s())
        sent_s = [rng.uniform(10.0, 290.0) for _ in range(50)]
        delays_s += [min(at_s for at_s in polls_s if at_s >= one_s) - one_s for one_s in sent_s]
    assert 2.508 == pytest.approx(sum(delays_s) / len(delays_s), rel=0.02)
    assert 5.0 < max(delays_s) <= 5.5


def test_users_who_came_together_do_not_poll_together():
    """The first wait is anything up to one interval."""
    first_s = [Pace(ClientOptions()).wait_s() for _ in range(2000)]
    assert 2.5 == pytest.approx(sum(first_s) / len(first_s), rel=0.1)
    assert 0.5 > min(first_s)
    assert 4.5 < max(first_s) <= 5.0


def test_busy_service_without_retry_after_is_asked_ever_less():
    """The waits double, at random up to a limit, and never get shorter than an interval.

    Not even the first brings those who were refused together back together.
    """
    waits_s = []
    for _ in range(500):
        pace = Pace(ClientOptions(interval_s=1.0))
        waits_s.append([pace.busy_wait_s("") for _ in range(8)])
    columns = list(zip(*waits_s, strict=True))
    assert all(1.0 <= wait_s <= 32.0 for row in waits_s for wait_s in row)
    limits_s = [2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0, 32.0]
    assert limits_s == pytest.approx([max(column) for column in columns], rel=0.1)
    means_s = [sum(column) / len(column) for column in columns]
    assert [(1.0 + limit_s) / 2 for limit_s in limits_s] == pytest.approx(means_s, rel=0.1)
