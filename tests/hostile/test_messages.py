"""The message inside what arrives, over each protocol: each kind is counted under its name."""

import base64
import html
import json
import time
import zlib
from collections import Counter

import pytest

from harness.core.message_token import MessageToken, needle_of
from harness.core.outside_text import register_secret
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import MessageTracker
from harness.systems.server_sent_events.wire import encode_event
from tests.hostile.conftest import STREAM_HEAD, server_frame
from tests.support.listeners import wait_for
from tests.support.waiting import PATIENCE_S

RUN, ROOMS = "run", ["/default/a", "/default/b"]
KINDS = ("duplicated", "reordered", "unexpected", "foreign", "malformed", "altered", "misrouted")
SECRET = "the-secret-of-the-hostile-tests"
DEEP = 100


def message(sequence, stream=0, size=90):
    """Return a message of the run; that of stream 1 is of another room."""
    return MessageToken(stream, sequence, 1, 2, size).to_bytes(needle_of(RUN))


def escaped(text, times):
    """Return a text as a JSON string in a JSON string, so many times."""
    for _ in range(times):
        text = json.dumps(text) if len(text) < 100_000 else text
    return text.encode()


ONE, TWO, LAST = message(0), message(1), message(2)
LATER = ONE[:30] + b"zz" + ONE[32:]
"""As if other times had been sent."""

PAYLOADS = {
    "as it is": (ONE, {"delivered": 1}),
    "escaped for HTML": (html.escape(f'<b title="{ONE.decode()}">').encode(), {"delivered": 1}),
    "in nested JSON strings": (escaped(ONE.decode(), 12), {"delivered": 1}),
    "in deep JSON": (b"[" * DEEP + b'"' + ONE + b'"' + b"]" * DEEP, {"delivered": 1}),
    "too deep for a parser": (b"[" * 10_000 + ONE + b"]" * 10_000, {"delivered": 1}),
    "in a longer text": (b"at 12:30 somebody said: " + ONE + b". And then?", {"delivered": 1}),
    "twice in one event": (ONE + b" " + ONE, {"delivered": 1}),
    "two in one event": (ONE + b"," + TWO, {"delivered": 2}),
    "two in another order": (TWO + b"," + ONE, {"delivered": 2, "reordered": 1}),
    "numbers written otherwise": (b'{"n":1.0e+17,"m":"1","t":' + ONE + b"}", {"delivered": 1}),
    "behind a NUL": (b"\0" + ONE + b"\0", {"delivered": 1}),
    "of another room": (message(0, stream=1), {"misrouted": 1}),
    "with other times": (LATER, {"altered": 1}),
    "cut behind the token": (ONE[:80], {"delivered": 1, "altered": 1}),
    "with another payload": (ONE[:70] + b"y" + ONE[71:], {"delivered": 1, "altered": 1}),
    "cut within the token": (ONE[:40], {"malformed": 1}),
    "in capitals": (ONE.upper(), {"foreign": 1}),
    "in two lines": (ONE[:40] + b"\n" + ONE[40:], {"malformed": 1}),
    "in UTF-16": (ONE.decode().encode("utf-16"), {"foreign": 1}),
    "in base64": (base64.b64encode(b"{" + ONE + b"}"), {"foreign": 1}),
    "compressed": (zlib.compress(ONE), {"foreign": 1}),
    "of another run": (
        MessageToken(0, 0, 1, 2, 90).to_bytes(needle_of("another")),
        {"foreign": 1},
    ),
    "not ours": (b'{"type":"presence","users":[null,1e400,-0]}', {"foreign": 1}),
    "no text": (b"\xff\xfe\x80\x81 no text", {"foreign": 1}),
    "empty": (b"", {"foreign": 1}),
    "with the secret": (f"you sent {SECRET}".encode(), {"foreign": 1}),
}


class Account(SubscriberLedger):
    """A listener that counts, and records what else it is told."""

    user_class = "subscriber"

    def __init__(self):
        super().__init__(MessageTracker(RUN, channels=ROOMS), ROOMS[:1])
        self.ends, self.refusals = [], []

    def confirmed(self, _):
        self.owed_from_ns = 0

    def ended(self, *end):
        self.ends.append(end)

    def refused(self, *refusal):
        self.refusals.append(refusal)

    @property
    def counts(self):
        """What is not 0."""
        found = {kind: getattr(self, kind) for kind in KINDS} | {"delivered": self.delivered_count}
        return {kind: count for kind, count in found.items() if count}


def over_stream(server, payloads):
    server.answer = STREAM_HEAD
    server.then = [b"".join(encode_event(each, b"1") for each in payloads)]


def over_socket(server, payloads):
    server.then = [b"".join(server_frame(1, each) for each in payloads)]


def over_polls(server, payloads):
    entries = [each.decode("utf-8", "replace") for each in payloads]

    def answer(head):
        page = {"messages": entries if b"after=1 " in head else [], "next": "1"}
        page["next"] = "2" if b"after" in head else "1"
        body = json.dumps(page).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    server.answer = answer


WAYS = {"stream_user": over_stream, "socket_user": over_socket, "poll_user": over_polls}


@pytest.fixture(params=WAYS)
def send(request, server):
    """Have the server send payloads to a user that counts; return its account when all came."""
    user, way = request.getfixturevalue(request.param), WAYS[request.param]
    account = Account()
    client = user._client
    setattr(client, "listener" if hasattr(client, "listener") else "_listener", account)

    def sent(*payloads):
        way(server, [*payloads, LAST])
        client.join(time.monotonic() + PATIENCE_S)
        server.joined.set()
        wait_for(lambda: (0, 2) in account.tracker._messages or account.ends)
        return account

    return sent


@pytest.fixture(autouse=True)
def no_traceback(capfd):
    """Nothing that a server sends is a fault of ours."""
    yield
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(("payload", "counts"), PAYLOADS.values(), ids=PAYLOADS)
def test_each_kind_of_payload_is_counted_under_its_name(send, payload, counts):
    """And the good message behind it in the same bytes is delivered."""
    account = send(payload)
    expected = Counter(counts) + Counter(delivered=1)
    assert (dict(expected), [], []) == (account.counts, account.ends, account.refusals)


def test_all_kinds_of_payloads_in_the_same_bytes_add_up(send):
    """None disturbs another."""
    account = send(*(payload for payload, _ in PAYLOADS.values()))
    kinds = sum((Counter(counts) for _, counts in PAYLOADS.values()), Counter())
    received = kinds.pop("delivered")
    for kind in ("foreign", "malformed", "altered", "misrouted"):
        assert kinds[kind] == getattr(account, kind), kind
    assert received + 1 == account.received_count
    assert 3 == account.delivered_count


def test_example_of_what_is_foreign_shows_no_secret(send):
    """Neither the account nor what is handed on."""
    register_secret("HOSTILE_SECRET", SECRET)
    account = send(f"you sent {SECRET}".encode(), b"\x1b[2J" + SECRET.encode() * 100)
    examples = "".join(example for _, example in account.tracker.take_irregular())
    assert SECRET not in examples
    assert "\x1b" not in examples
    assert "***HOSTILE_SECRET***" in examples
    assert len(examples) < 1000
