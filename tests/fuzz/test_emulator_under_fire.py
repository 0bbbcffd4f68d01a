"""Whatever a client sends, the emulator answers or hangs up, complains of nothing and serves on."""

import contextlib
import http.client
import json
import socket

import pytest
from hypothesis import strategies as st

from tests.fuzz.wire_shapes import (
    AUTHORIZATIONS,
    BODIES,
    CLAIMS,
    DEEP,
    FAULTS,
    FRAMES,
    HEADER_VALUES,
    JSON_VALUES,
    KEY,
    MESSAGE_TEXTS,
    SUBPROTOCOLS,
    TEXTS,
    TOKENS,
    frame,
    upgrade,
    upgrade_with,
)
from tests.support.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # Some of it is large.
]

FENCE = frame(json.dumps({"type": "unsubscribe", "id": "fence"}).encode())
HANDLED = b"".join(
    frame(json.dumps({"id": "1", "channel": channel, "authorization": KEY, **rest}).encode())
    for channel in ("/code/a", "/direct/a")
    for rest in ({"type": "subscribe"}, {"type": "publish", "events": ["1"]})
)
"""Messages that handlers are asked about, who then see the headers of the upgrade too."""

SERVER_ERRORS = range(500, 600)


def read_head(connection):
    """Return the head of an HTTP answer; empty where the other side hung up."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return head


def exactly(connection, count):
    """Read so many bytes; None where the other side hung up before."""
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def read_frame(connection):
    """Return opcode and payload of a server's frame, which must be sound; None at the end."""
    start = exactly(connection, 2)
    if start is None:
        return None
    opcode, length = start[0] & 15, start[1]
    assert 0x80 == start[0] & 0xF0, "final, and no extension"
    assert length < 128, "servers do not mask"
    if length >= 126:
        length = int.from_bytes(exactly(connection, 2 if length == 126 else 8), "big")
    return opcode, exactly(connection, length)


def read_messages(connection, *, may_end=False):
    """Return the JSON messages up to the answer to the fence, or to the end where it may come."""
    heard = []
    while (found := read_frame(connection)) is not None:
        opcode, payload = found
        if opcode == 1:
            message = json.loads(payload)
            assert isinstance(message["type"], str)
            if message.get("id") == "fence":
                return heard
            heard.append(message)
        else:
            assert opcode in {8, 10}, "only closes and pongs besides"
    assert may_end, "the connection was closed on a client that only spoke nonsense"
    return heard


def opened(fuzzed, request):
    """Return a connection that sent an upgrade request, and the status of the answer, or 0."""
    connection = fuzzed.connect()
    connection.sendall(request)
    head = read_head(connection)
    assert "" == fuzzed.complaints()
    status = int(head.split()[1]) if head else 0
    assert status not in SERVER_ERRORS
    return connection, status


def send_all(connection, data):
    """Send, say that this was all, and read to the end, which must come; a reset is one too."""
    with contextlib.suppress(OSError):  # Not only its connection errors: it may be gone.
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass


def ask(fuzzed, method, path, body=None, headers=None):
    """Make one request with the standard library; return the status."""
    return ask_for_text(fuzzed, method, path, body, headers)[0]


def ask_for_text(fuzzed, method, path, body=None, headers=None):
    """Make one request with the standard library; return the status and the text."""
    host, port = fuzzed.place
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    assert "" == fuzzed.complaints()
    assert answer.status not in SERVER_ERRORS
    return answer.status, text


def credentials_of(fuzzed, mode, claims):
    """Return credentials with a token that the emulator's own issuer signs; None if it refuses."""
    request = json.dumps({"mode": mode, "claims": claims}).encode()
    status, text = ask_for_text(fuzzed, "POST", "/_emulator/tokens", request)
    return (
        {"host": "localhost", "Authorization": json.loads(text)["token"]} if status == 200 else None
    )


def test_text_frames_of_any_content_never_end_a_connection(fuzzed, rounds):
    """Nonsense is answered with an error, and the next sensible question with its answer."""

    def body(texts):
        connection, status = opened(fuzzed, upgrade())
        with connection:
            assert 101 == status
            connection.sendall(b"".join(map(frame, texts)) + FENCE)
            # Text that is no UTF-8 may end a connection: RFC 6455, 8.1.
            read_messages(connection, may_end=not all(map(is_utf8, texts)))
        assert "" == fuzzed.complaints()

    rounds(body, fuzzed.check, texts=st.lists(MESSAGE_TEXTS, min_size=1, max_size=5))


def is_utf8(text):
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_broken_frames_are_answered_or_hung_up_on(fuzzed, rounds):
    """Wrong masks, lengths, opcodes, fragments and reserved bits: never an exception."""

    def body(frames, cut):
        connection, status = opened(fuzzed, upgrade())
        with connection:
            assert 101 == status
            data = b"".join(frames)
            send_all(connection, data[: len(data) - cut])
        assert "" == fuzzed.complaints()

    frames = st.lists(FRAMES | st.binary(max_size=100), min_size=1, max_size=6)
    rounds(body, fuzzed.check, frames=frames, cut=st.integers(0, 3))


def test_clients_that_vanish_leave_nothing_behind(fuzzed, rounds):
    """A connection reset in the middle of anything is let go of, with its subscriptions."""

    def body(texts, request_cut):
        connection = fuzzed.connect()
        with connection:
            # With a linger of zero seconds, close sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            data = upgrade() + b"".join(map(frame, texts))
            connection.sendall(data[: len(data) - request_cut])
        assert "" == fuzzed.complaints()

    subscribe = json.dumps(
        {"type": "subscribe", "id": "1", "channel": "/default/*", "authorization": KEY}
    )
    texts = st.lists(MESSAGE_TEXTS | st.just(subscribe.encode()), max_size=4)
    rounds(body, fuzzed.check, texts=texts, request_cut=st.integers(0, 500))


def test_subprotocols_of_any_content_are_let_in_or_refused(fuzzed, rounds):
    """An upgrade is 101 or 400, and what was let in is told why it may not stay."""

    def body(subprotocols, text):
        connection, status = opened(fuzzed, upgrade(subprotocols=subprotocols))
        with connection:
            assert status in {101, 400}
            if status == 101:
                send_all(connection, frame(text))
        assert "" == fuzzed.complaints()

    rounds(body, fuzzed.check, subprotocols=SUBPROTOCOLS, text=MESSAGE_TEXTS)


def test_upgrade_headers_of_any_content_are_no_server_error(fuzzed, rounds):
    """Odd versions, keys, queries and credentials in plain headers."""

    def body(version, key, query, headers):
        extra = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
        request = upgrade(version=version, key=key, query=query, extra=extra)
        connection, status = opened(fuzzed, request)
        with connection:
            assert status in {0, 101, 400, 417}
            send_all(connection, HANDLED)
        assert "" == fuzzed.complaints()

    names = st.sampled_from(
        (
            *("x-api-key", "authorization", "x-amz-date", "x-amz-security-token"),
            *("host", "upgrade", "connection", "sec-websocket-extensions"),
            *("content-length", "transfer-encoding", "expect"),
        )
    )
    printable = st.binary(max_size=30).map(lambda raw: raw.translate(None, b"\r\n\0"))
    rounds(
        body,
        fuzzed.check,
        version=st.sampled_from([b"13", b"8", b""]) | printable,
        key=st.sampled_from([b"AAAAAAAAAAAAAAAAAAAAAA==", b""]) | printable,
        query=st.sampled_from([b"", b"?header=x", b"?a=%ff%00"]),
        headers=st.lists(st.tuples(names, HEADER_VALUES | printable), max_size=4),
    )


def test_bytes_that_are_no_http_are_answered_or_hung_up_on(fuzzed, rounds):
    """Whatever comes first on a connection."""

    def body(data):
        with fuzzed.connect() as connection:
            send_all(connection, data)
        assert "" == fuzzed.complaints()

    requests = st.builds(
        lambda method, path, rest: method + b" " + path + b" HTTP/1.1\r\n" + rest,
        st.sampled_from([b"GET", b"POST", b"OPTIONS", b"PRI", b"\xff"]),
        st.sampled_from([b"/event", b"/event/realtime", b"*", b"//", b"/%", b"http://["])
        | st.binary(max_size=20),
        st.binary(max_size=100)
        | st.sampled_from(
            [
                b"Host: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                b"Host: x\r\nContent-Length: -1\r\n\r\n",
                b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
                b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                b"Host: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
            ]
        ),
    )
    rounds(body, fuzzed.check, data=requests | st.binary(max_size=300))


def test_bytes_that_are_no_tls_are_hung_up_on(fuzzed_tls, rounds):
    """Whatever comes in place of a handshake."""

    def body(data):
        with fuzzed_tls.connect() as connection:
            send_all(connection, data)
        assert "" == fuzzed_tls.complaints()

    starts = st.sampled_from(
        [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\x16\x03\x01\x00\x05"]
    )
    data = st.builds(bytes.__add__, starts, st.binary(max_size=200))
    rounds(body, fuzzed_tls.check, data=data)


def test_http_bodies_of_any_content_are_no_server_error(fuzzed, rounds):
    """A publish is accepted or refused with a status of the 400s, whatever its body and key."""

    def body(content, headers):
        assert ask(fuzzed, "POST", "/event", content, headers) in {200, 400, 401, 403, 413}

    contents = (
        (BODIES | JSON_VALUES).map(lambda value: json.dumps(value).encode())
        | DEEP.map(str.encode)
        | st.binary(max_size=200)
    )
    headers = st.fixed_dictionaries(
        {},
        optional={
            "x-api-key": st.just(b"da2-test") | HEADER_VALUES.map(one_line),
            "authorization": TOKENS.map(str.encode).map(one_line),
            "content-type": st.sampled_from([b"application/json", b"text/plain; charset=\xff"]),
            "content-encoding": st.sampled_from([b"amz-1.0", b"gzip", b"deflate", b"br", b"x"]),
            "x-seen-by-handlers": HEADER_VALUES.map(one_line),
        },
    )
    rounds(body, fuzzed.check, content=contents, headers=headers)


def one_line(value):
    """Take out what would begin another header: the standard library refuses to send it."""
    return value.translate(None, b"\r\n\0").strip()


def test_paths_and_methods_of_any_kind_are_no_server_error(fuzzed, rounds):
    """What is not there is 404 or 405."""

    def body(method, path):
        ask(fuzzed, method, path)

    letters = st.text(alphabet="abcevnt/.%-_?=&*:@", max_size=30)
    rounds(
        body,
        fuzzed.check,
        method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]),
        path=letters.map("/".__add__) | letters.map("/event/".__add__),
    )


def test_control_requests_of_any_content_are_no_server_error(fuzzed, rounds):
    """Faults, tokens and resets are taken or refused; what was taken is taken back."""

    def body(path, content):
        try:
            assert ask(fuzzed, "POST", path, content) in {200, 400}
        finally:
            assert 200 == ask(fuzzed, "POST", "/_emulator/faults", b"[]")
        assert "" == fuzzed.complaints()

    contents = (
        st.lists(FAULTS | JSON_VALUES, max_size=3).map(json.dumps).map(str.encode)
        | JSON_VALUES.map(json.dumps).map(str.encode)
        | DEEP.map(str.encode)
        | st.binary(max_size=100)
    )
    paths = st.sampled_from(["/_emulator/faults", "/_emulator/tokens", "/_emulator/reset"])
    rounds(body, fuzzed.check, path=paths, content=contents)


def test_credentials_of_any_shape_never_end_a_connection(fuzzed, rounds):
    """A subscribe and a publish with them are answered, whoever they claim to be."""

    def body(authorization, token):
        connection, status = opened(fuzzed, upgrade())
        with connection:
            assert 101 == status
            for credentials in (authorization, {"host": "localhost", "Authorization": token}):
                message = {"id": "1", "channel": "/default/a", "authorization": credentials}
                for rest in ({"type": "subscribe"}, {"type": "publish", "events": ["1"]}):
                    connection.sendall(frame(json.dumps({**message, **rest}).encode()))
            connection.sendall(FENCE)
            heard = read_messages(connection)
        assert 4 == len([message for message in heard if message["type"] != "data"])
        assert "" == fuzzed.complaints()

    rounds(body, fuzzed.check, authorization=AUTHORIZATIONS, token=TOKENS)


def test_claims_of_any_shape_in_a_signed_token_never_end_a_connection(fuzzed, rounds):
    """Handlers see whatever the bearer's token says; the emulator's own issuer signs it."""

    def body(mode, claims):
        shown = credentials_of(fuzzed, mode, claims)
        if shown is None:
            return
        connection, status = opened(fuzzed, upgrade_with(shown))
        with connection:
            assert 101 == status
            data = FENCE
            for channel in ("/code/a", "/direct/a"):
                message = {"id": "1", "channel": channel, "authorization": shown}
                for rest in ({"type": "subscribe"}, {"type": "publish", "events": ["1"]}):
                    data = frame(json.dumps({**message, **rest}).encode()) + data
            connection.sendall(data)
            heard = read_messages(connection, may_end=True)
        assert heard
        assert "" == fuzzed.complaints()

    rounds(
        body,
        fuzzed.check,
        mode=st.sampled_from(["user_pool", "oidc"]),
        claims=st.dictionaries(CLAIMS | TEXTS, JSON_VALUES, max_size=4),
    )
