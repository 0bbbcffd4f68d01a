"""An independent subscriber beside ours sees the same events, and nothing else.

It is the ``websockets`` library with hand-written JSON, on an emulator that was started by itself;
``harness run`` drives that emulator as it would drive the real service.
"""

import base64
import contextlib
import json
import ssl
import threading
import urllib.request
from functools import partial

from websockets.sync.client import connect
from websockets.typing import Subprotocol

from harness.core.message_token import MessageToken, MessageWriter
from tests.support.runs import EMULATED, SHORT, TIMEOUT_S, after, elsewhere
from tests.support.waiting import wait_for

SENTINEL = "the end"
TOKEN = ("stream", "sequence", "intended_ns", "sent_ns", "bytes")


class Witness:
    """Subscribes to everything and writes down each event as it came."""

    def __init__(self, address):
        self._address = address
        self._key = {"host": "localhost", "x-api-key": address["api_key"]}
        text = base64.urlsafe_b64encode(json.dumps(self._key).encode()).decode().rstrip("=")
        self._tls = ssl.create_default_context(cafile=address["ca_file"]) if self._secure else None
        offered = [Subprotocol("aws-appsync-event-ws"), Subprotocol(f"header-{text}")]
        with contextlib.ExitStack() as opened:
            opening = connect(address["realtime"], subprotocols=offered, ssl=self._tls, proxy=None)
            self._socket = opened.enter_context(opening)
            self._subscribe()
            self._opened = opened.pop_all()
        self.events = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _subscribe(self):
        self._say(type="connection_init")
        self._say(type="subscribe", id="w", channel="/default/*", authorization=self._key)
        while json.loads(self._socket.recv(TIMEOUT_S))["type"] != "subscribe_success":
            pass

    @property
    def _secure(self):
        return self._address["realtime"].startswith("wss:")

    def _say(self, **message):
        self._socket.send(json.dumps(message))

    def _listen(self):
        while True:
            message = json.loads(self._socket.recv(TIMEOUT_S))
            if message["type"] != "data":
                continue
            if message["event"] == json.dumps(SENTINEL):
                return
            self.events.append(message["event"])

    def dismiss(self):
        """Publish a last event, and return once it has come back: nothing is still under way."""
        body = {"channel": "/default/end", "events": [json.dumps(SENTINEL)]}
        request = urllib.request.Request(  # noqa: S310 - http and https, as the emulator said
            self._address["http"], json.dumps(body).encode(), {"x-api-key": self._key["x-api-key"]}
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        opener.open(request, timeout=TIMEOUT_S).close()
        self._thread.join(TIMEOUT_S)
        self._opened.close()


def witnessed(launcher, emulated, settings, tls=""):
    """Return how a run on an emulator of its own ended, and what the witness saw of it."""
    emulator = launcher.harness("emulate", EMULATED, "--json", *emulated)
    with contextlib.ExitStack() as ending:
        ending.callback(emulator.end)
        wait_for(lambda: emulator.read("stdout").endswith("\n"), "its address")
        address = json.loads(emulator.read("stdout"))
        witness = Witness(address)
        ending.callback(witness.dismiss)
        target = launcher.new_folder() / "target.toml"
        target.write_text(elsewhere(address["http"]) + tls.format(**address), encoding="utf-8")
        outcome = launcher.run(settings, target=target, END_TO_END_KEY=address["api_key"]).outcome()
    return outcome, witness.events


over_websocket = partial(witnessed, emulated=(), settings=SHORT)
over_http_and_tls = partial(
    witnessed,
    emulated=("--set", "target.emulator.tls=true"),
    settings=SHORT | {"publishing.transport": "http", "publishing.batch_size": 2},
    tls='[tls]\nca_file = "{ca_file}"\n',
)


def assert_same_events(outcome, events):
    """Assert that the record's messages, built anew, are the witness's, byte for byte."""
    writer = MessageWriter(outcome.run["run_id"], outcome.run["plan"]["target"]["message"])
    messages = outcome.table("messages")
    columns = [messages[name].astype("int64").tolist() for name in TOKEN]
    recorded = [
        writer.write(MessageToken(*fields), size_bytes)
        for *fields, size_bytes in zip(*columns, strict=True)
    ]
    assert {"acknowledged"} == set(messages["outcome"])
    assert recorded
    assert sorted(recorded) == sorted(event.encode() for event in events)


@after(over_websocket)
def test_witness_sees_the_same_events_over_websocket(outcome):
    """No event more, none less, none twice, none changed."""
    outcome, events = outcome
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left), outcome.said
    assert_same_events(outcome, events)


@after(over_http_and_tls)
def test_witness_sees_the_same_events_over_http_and_tls(outcome):
    """The same where everything is encrypted and messages are posted two by two."""
    outcome, events = outcome
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left), outcome.said
    assert outcome.run["plan"]["target"]["endpoints"]["realtime"].startswith("wss://")
    assert_same_events(outcome, events)


@after(over_http_and_tls)
def test_record_holds_no_secret(outcome):
    """The key came from the environment and went nowhere else."""
    outcome, _ = outcome
    files = [path for path in outcome.folder.rglob("*") if path.is_file()]
    assert [] == [path.name for path in files if b"da2-emulator-local" in path.read_bytes()]
