"""A running emulator to throw bytes at, and what must still be true afterwards.

``FUZZ_SECONDS`` is the time for all tests of this folder together; a few seconds where it is not
set. ``FUZZ_SEED`` is the number of the first round, from which all that is random comes.
"""

import contextlib
import json
import os
import selectors
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import hypothesis
import psutil
import pytest
from hypothesis import HealthCheck, Phase
from websockets import Subprotocol
from websockets.sync.client import connect as websocket_connect

from tests.fuzz.wire_shapes import KEY, MARKER, header
from tests.support.waiting import PATIENCE_S

SECONDS = float(os.environ.get("FUZZ_SECONDS", "4"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
EXAMPLES_A_ROUND = 40
ANSWER_S = 3
"""How long a peer that has sent rubbish listens: silence is an answer too."""

EMULATE = (sys.executable, "-m", "harness", "emulate")
TARGET = """
name = "fuzzed"
system = "appsync-events"
emulated = true
[emulator]
processes = 2
api_keys = ["da2-test"]
connection_auth_modes = ["api_key", "iam", "user_pool", "oidc", "lambda"]
default_publish_auth_modes = ["api_key", "iam", "user_pool", "oidc", "lambda"]
default_subscribe_auth_modes = ["api_key", "iam", "user_pool", "oidc", "lambda"]
[[emulator.namespaces]]
name = "default"
[[emulator.namespaces]]
name = "code"
code = "echo.js"
[[emulator.namespaces]]
name = "direct"
on_publish = "echo.py:on_publish"
on_subscribe = "echo.py:on_subscribe"
[[emulator.iam_users]]
access_key_id = "AKID"
secret_access_key = "no secret"
[emulator.lambda_authorizer]
function = "echo.py:authorize"
ttl_s = 0
"""
JAVASCRIPT = """
import { util } from '@aws-appsync/utils'
export function onPublish(ctx) {
  return ctx.events.map((e) => ({ id: e.id, payload: JSON.parse(JSON.stringify(e.payload)) }))
}
export function onSubscribe(ctx) {
  if (ctx.info.channel.segments.length > 3) util.unauthorized()
}
"""
PYTHON = """
def on_publish(event, _context):
    return {"events": [{"id": e["id"], "payload": e["payload"]} for e in event["events"]]}

def on_subscribe(event, _context):
    return None if len(event["info"]["channel"]["segments"]) < 3 else {"error": "too deep"}

def authorize(event, _context):
    return {"isAuthorized": event["authorizationToken"].startswith("good")}
"""

SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES_A_ROUND,
    database=None,
    deadline=None,
    derandomize=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class Fuzzed:
    """An emulator under fire, in processes of its own; ``place`` is its host and port."""

    def __init__(self, process, said):
        self._said = said
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE_S), "the emulator does not start"
        told = json.loads(process.stdout.readline())
        self.realtime = told["realtime"]
        self.http = told["http"]
        self.place = (urlsplit(told["http"]).hostname, urlsplit(told["http"]).port)
        self.workers = [psutil.Process(pid) for pid in told["pids"]]
        self._trust = (
            ssl.create_default_context(cafile=told["ca_file"]) if told["ca_file"] else None
        )

    def connect(self):
        """Return a new TCP connection."""
        connection = socket.create_connection(self.place, timeout=ANSWER_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def complaints(self):
        """Return what the emulator has said on stderr since last asked: bugs, and nothing else."""
        return self._said.read()

    def sockets(self):
        """Return how many TCP connections its processes hold, by the kernel's account."""
        held = (socket for worker in self.workers for socket in worker.net_connections("tcp"))
        return sum(socket.status != psutil.CONN_LISTEN for socket in held)

    def _ask_stats(self):
        address = self.http.removesuffix("event") + "_emulator/stats"
        trust = self._trust
        with urllib.request.urlopen(address, timeout=PATIENCE_S, context=trust) as answer:  # noqa: S310 - our own
            return json.loads(answer.read())

    def now(self):
        """Return connections and subscriptions, by its own count, and sockets by the kernel's."""
        stats = self._ask_stats()
        return stats["connections"], stats["subscriptions"], self.sockets()

    def check(self):
        """Fail unless it is silent, has let go of every connection, and serves who is healthy."""
        assert "" == self.complaints()
        deadline = time.monotonic() + PATIENCE_S
        while (left := self.now()) != (0, 0, 0):
            assert time.monotonic() < deadline, f"connections, subscriptions, sockets left: {left}"
            time.sleep(0.02)
        self.serve_the_healthy()
        assert "" == self.complaints()

    def serve_the_healthy(self):
        """Fail unless a well-behaved client can subscribe, publish and receive."""
        with websocket_connect(
            self.realtime,
            subprotocols=[Subprotocol(MARKER), Subprotocol(header(KEY))],
            open_timeout=PATIENCE_S,
            close_timeout=PATIENCE_S,
            proxy=None,
            ssl=self._trust,
        ) as client:
            base = {"authorization": KEY, "channel": "/default/healthy"}
            client.send(json.dumps({"type": "subscribe", "id": "s", **base}))
            assert "subscribe_success" == json.loads(client.recv(timeout=PATIENCE_S))["type"]
            client.send(json.dumps({"type": "publish", "id": "p", "events": ["1"], **base}))
            heard = [json.loads(client.recv(timeout=PATIENCE_S))["type"] for _ in range(2)]
            assert {"publish_success", "data"} == set(heard)


@contextlib.contextmanager
def emulator(folder, *flags):
    """Start an emulator as its users do, with handlers, every auth mode and two processes."""
    files = {"target.toml": TARGET, "echo.js": JAVASCRIPT, "echo.py": PYTHON, "stderr.txt": ""}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = [*EMULATE, "target.toml", "--json", "--exit-with-parent", *flags]
    with contextlib.ExitStack() as started:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=started.enter_context((folder / "stderr.txt").open("wb")),
        )
        started.enter_context(process)
        started.callback(process.terminate)
        said = (folder / "stderr.txt").open(encoding="utf-8", errors="replace")
        yield Fuzzed(process, started.enter_context(said))


@pytest.fixture(scope="session")
def fuzzed(tmp_path_factory):
    """One emulator for all of these tests."""
    with emulator(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


@pytest.fixture
def fuzzed_tls(tmp_path):
    """An emulator that speaks TLS only."""
    with emulator(tmp_path, "--set", "target.emulator.tls=true") as running:
        yield running


@pytest.fixture(scope="session")
def seconds(request):
    """The time for each of the tests that fuzz: all of them share ``FUZZ_SECONDS``."""
    return SECONDS / len([item for item in request.session.items if "seconds" in item.fixturenames])


@pytest.fixture
def rounds(seconds):
    """Call a test's body with drawn values, round after round, until its time is over."""

    def run(body, after_each_round=lambda: None, **strategies):
        deadline, number = time.monotonic() + seconds, SEED
        while True:
            fuzz = hypothesis.given(**strategies)(body)
            hypothesis.seed(number)(SETTINGS(fuzz))()
            after_each_round()
            number += 1
            if time.monotonic() >= deadline:
                break

    return run
