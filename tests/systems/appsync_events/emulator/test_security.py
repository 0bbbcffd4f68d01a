"""What a local emulator owes its users: no secret shown, no limit passed, no stranger let in."""

import asyncio
import contextlib
import gzip
import hmac
import http.client
import json
import selectors
import socket
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from harness.systems.appsync_events.emulator.access import Access, Caller
from harness.systems.appsync_events.options import Options
from tests.fuzz.wire_shapes import frame, header, upgrade
from tests.support.waiting import PATIENCE_S

MEGABYTE = 1_000_000
MEMORY_BYTES = 60 * MEGABYTE
"""What a process may grow by whatever a client sends: a few messages at their largest."""

CONFIGURED = ["da2-configured", "configured-secret-key", "configured-session-token"]
PRESENTED = "presented-by-a-client"

TARGET = f"""
name = "guarded"
system = "appsync-events"
emulated = true
[emulator]
tls = true
api_keys = ["da2-shown", "{CONFIGURED[0]}"]
connection_auth_modes = ["api_key", "iam", "user_pool", "lambda"]
default_publish_auth_modes = ["api_key", "iam", "user_pool", "lambda"]
default_subscribe_auth_modes = ["api_key", "iam", "user_pool", "lambda"]
[[emulator.iam_users]]
access_key_id = "AKID"
secret_access_key = "{CONFIGURED[1]}"
session_token = "{CONFIGURED[2]}"
[emulator.lambda_authorizer]
function = "authorizer.py:authorize"
"""
EMULATE = (sys.executable, "-m", "harness", "emulate", "target.toml")
AUTHORIZER = """
def authorize(event, context):
    return {"isAuthorized": False}
"""


class Guarded:
    """A ``harness emulate`` under way; ``told`` is what it printed when it began to serve."""

    def __init__(self, process, stderr):
        self.process = process
        self.stderr = stderr
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE_S)
        self.told = json.loads(process.stdout.readline())
        self.place = (urlsplit(self.told["http"]).hostname, urlsplit(self.told["http"]).port)

    def workers(self):
        return [psutil.Process(pid) for pid in self.told["pids"]]

    def memory_bytes(self):
        return sum(worker.memory_info().rss for worker in self.workers())

    def ask(self, method, path, body=None, headers=None):
        """Return the answer to one HTTP request, read to its end."""
        host, port = self.place
        client = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
        with contextlib.closing(client):
            client.request(method, path, body, headers or {})
            answer = client.getresponse()
            answer.read()
            return answer

    def connect(self):
        return socket.create_connection(self.place, timeout=PATIENCE_S)


@contextlib.contextmanager
def emulator(folder, *flags):
    """Start the command in a folder and end it."""
    (folder / "target.toml").write_text(TARGET, encoding="utf-8")
    (folder / "authorizer.py").write_text(AUTHORIZER, encoding="utf-8")
    stderr = folder / "stderr.txt"
    with contextlib.ExitStack() as started:
        process = subprocess.Popen(
            [*EMULATE, "--json", "--exit-with-parent", *flags],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=started.enter_context(stderr.open("wb")),
        )
        started.enter_context(process)
        started.callback(process.terminate)
        yield Guarded(process, stderr)


@pytest.fixture
def guarded(tmp_path):
    """One that speaks TLS."""
    with emulator(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """One for all of these tests without TLS, so that bytes can be sent as they are."""
    folder = tmp_path_factory.mktemp("plain")
    with emulator(folder, "--set", "target.emulator.tls=false") as running:
        yield running


# Secrets


@pytest.fixture
def compared(monkeypatch):
    """What is compared in constant time, as pairs of bytes."""
    pairs = []
    real = hmac.compare_digest

    def compare(found, expected):
        pairs.append((bytes(found), bytes(expected)))
        return real(found, expected)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    return pairs


def judge(tmp_path, authorization):
    """Judge credentials at the connect of an API with two keys and an IAM user."""
    user = {"access_key_id": "AKID", "secret_access_key": "s", "session_token": "the-session"}
    modes = ["api_key", "iam"]
    options = {"api_keys": ["one", "two"], "iam_users": [user], "connection_auth_modes": modes}
    access = Access(Options.model_validate(options), tmp_path)
    return asyncio.run(access.connect(authorization, Caller({}, "localhost", b"")))


@pytest.mark.parametrize("key", ["one", "two", "x", ""])
def test_every_api_key_is_compared_in_constant_time_whichever_matches(tmp_path, compared, key):
    """Neither the order of the keys nor how far one matches shows in the time it takes."""
    judge(tmp_path, {"host": "localhost", "x-api-key": key})
    assert [(key.encode(), b"one"), (key.encode(), b"two")] == compared


def test_signature_and_session_token_are_compared_in_constant_time(tmp_path, compared):
    """What was presented meets what was expected there and nowhere else."""
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    scope = f"{now[:8]}/us-east-1/appsync/aws4_request"
    signature = f"Credential=AKID/{scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    shown = {
        "host": "localhost",
        "x-amz-date": now,
        "x-amz-security-token": "the-session",
        "Authorization": f"AWS4-HMAC-SHA256 {signature}",
    }
    assert "BadRequestException" == judge(tmp_path, shown).error_type
    assert {b"the-session", b"0" * 64} == {found for found, _ in compared}


def credentials():
    """Return credentials of each kind, right in form and wrong in content."""
    signed = f"AWS4-HMAC-SHA256 Credential={PRESENTED}/20261123/us-east-1/appsync/aws4_request, "
    return [
        {"x-api-key": PRESENTED},
        {"Authorization": PRESENTED},
        {"Authorization": f"Bearer e30.e30.{PRESENTED}"},
        {"Authorization": f"{signed}SignedHeaders=host, Signature={PRESENTED}"},
        {
            "Authorization": f"{signed}SignedHeaders=host, Signature=00".replace(PRESENTED, "AKID"),
            "X-Amz-Security-Token": PRESENTED,
            "x-amz-date": PRESENTED,
        },
    ]


def knock(guarded, request):
    """Send bytes and read until the other side hangs up or falls silent."""
    with guarded.connect() as connection:
        connection.sendall(request)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def test_neither_configured_nor_presented_secrets_are_ever_printed(plain):
    """However they come: over HTTP, in subprotocols, in messages or in what is no request."""
    body = json.dumps({"channel": "/default/a", "events": ["1"]})
    for shown in credentials():
        assert plain.ask("POST", "/event", body, shown).status in {400, 401}
        subprotocols = f"aws-appsync-event-ws, {header({'host': 'x', **shown})}".encode()
        knock(plain, upgrade(subprotocols=subprotocols) + frame(b"{}"))
        message = {"type": "subscribe", "id": "1", "channel": "/default/a", "authorization": shown}
        knock(plain, upgrade() + frame(json.dumps(message).encode()))
    knock(plain, upgrade(query=f"?x-api-key={PRESENTED}".encode()))
    knock(plain, upgrade(extra=f"x-api-key {PRESENTED}\r\n".encode()))
    knock(plain, f"POST /event HTTP/1.1\r\nx-api-key: {PRESENTED}\0\r\n\r\n".encode())
    knock(plain, f"{PRESENTED}\r\n\r\n".encode())
    said = plain.stderr.read_text(encoding="utf-8")
    for secret in (*CONFIGURED, PRESENTED, "da2-shown"):
        assert secret not in said
    told = json.dumps({**plain.told, "api_key": ""})
    assert [] == [secret for secret in CONFIGURED if secret in told]


def test_no_secret_stands_on_a_command_line(plain):
    """Command lines are public; settings go through a pipe."""
    processes = [psutil.Process(plain.process.pid), *plain.workers()]
    lines = " ".join(" ".join(process.cmdline()) for process in processes)
    assert [] == [secret for secret in (*CONFIGURED, "da2-shown") if secret in lines]


def test_files_are_their_owners_and_go_with_the_emulator(guarded):
    """The folder with private keys is closed to others and does not stay behind."""
    folder = Path(guarded.told["ca_file"]).parent
    assert 0o700 == folder.stat().st_mode & 0o777
    private = [file for file in folder.iterdir() if file.is_file() and b"PRIVATE" in head(file)]
    assert {"server.pem"} <= {file.name for file in private}
    assert {0o600} == {file.stat().st_mode & 0o777 for file in private}
    guarded.process.stdin.close()
    guarded.process.wait(PATIENCE_S)
    assert not folder.exists()


def head(file):
    return file.read_bytes()[:2000]


# Strangers


def test_only_this_machine_can_connect_unless_told_otherwise(plain):
    """By the kernel's account: every listening socket is on 127.0.0.1."""
    sockets = [held for worker in plain.workers() for held in worker.net_connections("inet")]
    assert {"127.0.0.1"} == {held.laddr.ip for held in sockets if held.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/_emulator/stats", 403), ("/_emulator/log", 403), ("/_emulator/jwks.json", 200)],
)
def test_pages_of_other_origins_cannot_read_what_is_not_the_services(plain, path, status):
    """A browser on this machine shows a page from anywhere; the API itself answers all of them."""
    answer = plain.ask("GET", path, headers={"Origin": "https://example.org"})
    assert status == answer.status
    assert answer.headers["access-control-allow-origin"] is None


# Limits


GOOD_KEY = {"host": "localhost", "x-api-key": "da2-shown"}
LET_IN = upgrade(subprotocols=f"aws-appsync-event-ws, {header(GOOD_KEY)}".encode())


def read_to_end(connection):
    """Return all that comes; the other side must hang up."""
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


@pytest.mark.parametrize("length", [8 * MEGABYTE, 2**31, 2**63 - 1])
def test_frame_that_claims_too_much_ends_the_connection_before_it_comes(plain, length):
    """The close code is 1009, message too big; nothing of the message was waited for."""
    with plain.connect() as connection:
        connection.sendall(LET_IN + frame(b"", length=length))
        answer = read_to_end(connection)
    assert struct.pack("!H", 1009) in answer.partition(b"\r\n\r\n")[2]


def test_fragments_without_end_are_cut_off(plain):
    """Small fragments of one message are counted together."""
    before_bytes = plain.memory_bytes()
    fragment = frame(b"x" * 60_000, opcode=0, final=False)
    with plain.connect() as connection:
        connection.sendall(LET_IN + frame(b"[", final=False))
        with pytest.raises(ConnectionError):
            connection.sendall(fragment * 2000)
    assert plain.memory_bytes() - before_bytes < MEMORY_BYTES


def test_body_that_claims_too_much_is_refused_before_it_has_come(plain):
    """Of a billion bytes claimed nine million were sent when the answer came."""
    before_bytes = plain.memory_bytes()
    with plain.connect() as connection:
        connection.sendall(b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            connection.sendall(b" " * 9 * MEGABYTE)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert plain.memory_bytes() - before_bytes < MEMORY_BYTES


def test_compressed_body_is_not_unpacked(plain):
    """A hundred thousand bytes cannot become a hundred million."""
    before_bytes = plain.memory_bytes()
    bomb = gzip.compress(bytes(100 * MEGABYTE))
    headers = {"x-api-key": "da2-shown", "content-encoding": "gzip"}
    assert 400 == plain.ask("POST", "/event", bomb, headers).status
    assert plain.memory_bytes() - before_bytes < MEMORY_BYTES


@pytest.mark.parametrize("depth", [1000, 100_000, 3 * MEGABYTE])
def test_deep_json_is_refused(plain, depth):
    """Brackets do not use up the stack, neither in the body nor in an event."""
    event = json.dumps({"channel": "/default/a", "events": ["[" * (depth // 4)]})
    for body in ("[" * depth, event):
        assert 400 == plain.ask("POST", "/event", body, {"x-api-key": "da2-shown"}).status
    assert "" == plain.stderr.read_text(encoding="utf-8")


def test_endless_head_is_refused(plain):
    """A header line, or a request line, does not grow for ever."""
    for start in (b"GET /", b"GET / HTTP/1.1\r\nx: "):
        with plain.connect() as connection:
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    connection.sendall(start + b"x" * 100_000)
            with contextlib.suppress(ConnectionError):
                assert b" 400 " in connection.recv(100)
    assert "" == plain.stderr.read_text(encoding="utf-8")
