"""A service that repeats what it was sent: no secret and no escape leaves the client."""

import base64
import contextlib
from http.server import BaseHTTPRequestHandler
from urllib.parse import quote

import pytest

from tests.support.runs import ROOT, SHORT
from tests.support.servers import serving_http, serving_websockets

QUICKSTART = ROOT / "scenarios" / "workloads" / "quickstart.toml"
REDUCED = SHORT | {"population.subscribers": 4, "population.chatters": 1}
SECRETS = {
    "TEST_API_KEY": "key/of+the test",
    "TEST_HEADER": "header-of-the-test",
    "TEST_COOKIE": "cookie-of-the-test",
    "TEST_TOKEN": "token-of-the-test",
    "TEST_QUERY": "query/of the+test",
    "TEST_SUBPROTOCOL": "subprotocol-of-the-test",
}
PASSWORD = "password-of-the-test"
STREAMS = """
name = "told"
system = "server-sent-events"
[endpoints]
http = "http://127.0.0.1:{port}/pub?tok=${{TEST_TOKEN}}"
realtime = "http://someone:{password}@127.0.0.1:{port}/sub?tok=${{TEST_TOKEN}}"
[auth]
api_key_env = "TEST_API_KEY"
[client]
headers_env = {{ X-Guard = "TEST_HEADER" }}
cookies_env = {{ session = "TEST_COOKIE" }}
query_env = {{ more = "TEST_QUERY" }}
"""
SOCKETS = """
name = "told"
system = "api-gateway-websocket"
[endpoints]
http = "http://127.0.0.1:{port}"
realtime = "ws://someone:{password}@127.0.0.1:{port}/?tok=${{TEST_TOKEN}}"
[auth]
api_key_env = "TEST_API_KEY"
[client]
key_header = "x-api-key"
headers_env = {{ X-Guard = "TEST_HEADER" }}
cookies_env = {{ session = "TEST_COOKIE" }}
query_env = {{ more = "TEST_QUERY" }}
subprotocols = ["v1", "${{TEST_SUBPROTOCOL}}"]
"""
ESCAPES = "\x1b[2J\x1b]0;taken over\x07"


class Repeating(BaseHTTPRequestHandler):
    """Refuses everybody, with the whole request in the answer, in several encodings."""

    def do_GET(self):
        told = f"{ESCAPES}{self.path} {self.headers}"
        if "two" in self.headers.get("X-Guard", ""):
            told = base64.b64encode(told.encode()).decode()
        self.send_response(401)
        self.end_headers()
        self.wfile.write(told.encode())

    def log_message(self, *_):
        """Say nothing."""


def closing(connection):
    """Repeat the key of the request, in base64 too, in the reason of a close."""
    key = connection.request.headers["x-api-key"]
    encoded = base64.b64encode(f"k:{key}".encode()).decode()
    with contextlib.suppress(Exception):
        connection.recv()
        connection.close(4001, f"{ESCAPES}{key} {encoded} {connection.request.path}"[:120])


def told(launcher, target, port):
    """Return how a run ended, whose secrets end in a newline."""
    file = launcher.new_folder() / "told.toml"
    file.write_text(target.format(port=port, password=PASSWORD), encoding="utf-8")
    variables = {name: f"{secret}\n" for name, secret in SECRETS.items() if name != "TEST_TOKEN"}
    variables["TEST_TOKEN"] = SECRETS["TEST_TOKEN"]
    return launcher.run(REDUCED, workload=QUICKSTART, target=file, **variables).outcome()


def forms(secret):
    """Yield what must not be found: plain, quoted, and the heart of its base64."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for place in range(3):
        yield base64.b64encode(bytes(place) + secret.encode())[4:16]


def assert_untold(outcome):
    """Fail where a secret or an escape is in a file of the record, or was printed."""
    everything = outcome.everything
    for secret in (*SECRETS.values(), PASSWORD):
        assert [] == [form for form in forms(secret) if form in everything]
    assert "\x1b]0;" not in outcome.said
    assert b"\x1b" not in (outcome.folder / "summary.md").read_bytes()
    endpoints = outcome.run["plan"]["target"]["endpoints"]
    assert "?tok=${TEST_TOKEN}" in endpoints["realtime"]


@pytest.mark.slow
@pytest.mark.parametrize("target", [STREAMS, SOCKETS], ids=["streams", "sockets"])
def test_a_refusal_that_repeats_the_request_shows_no_secret(launcher, target):
    """All that a request carries is known by its name."""
    with serving_http(Repeating) as server:
        outcome = told(launcher, target, server.server_port)

    assert_untold(outcome)
    assert outcome.exit_code == 5, outcome.said
    assert b"***TEST_TOKEN***" in outcome.everything
    assert "someone" not in outcome.run["plan"]["target"]["endpoints"]["realtime"]


@pytest.mark.slow
def test_a_close_reason_with_escapes_and_the_key_shows_neither(launcher):
    """What the service gives as the reason of a close is shown as one line of text."""
    with serving_websockets(closing, subprotocols=["v1"]) as port:
        outcome = told(launcher, SOCKETS, port)

    assert_untold(outcome)
    assert b"***TEST_API_KEY***" in outcome.everything
