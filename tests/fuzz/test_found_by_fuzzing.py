"""What fuzzing has found, each case at its smallest: these are tried in every run."""

import json

import pytest

from tests.fuzz.test_emulator_under_fire import (
    FENCE,
    HANDLED,
    ask,
    credentials_of,
    opened,
    read_messages,
)
from tests.fuzz.wire_shapes import frame, upgrade, upgrade_with


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (upgrade(key=b"\x80"), 400),
        (upgrade(version=b"8", key=b"{\xb6"), 400),
        (upgrade(extra=b"Expect: \x80\r\n"), 417),
        (upgrade(extra=b"Expect: something\r\n"), 417),
    ],
)
def test_headers_that_are_no_text_are_refused(fuzzed, request_bytes, expected):
    """The HTTP library trips over them where it quotes or decodes them."""
    connection, status = opened(fuzzed, request_bytes)
    connection.close()
    assert expected == status


def test_client_that_asks_first_is_told_to_go_on(fuzzed):
    """Beside the refusal of other expectations the usual one still works."""
    body = json.dumps({"channel": "/default/a", "events": ["1"]}).encode()
    with fuzzed.connect() as connection:
        connection.sendall(
            b"POST /event HTTP/1.1\r\nHost: x\r\nx-api-key: da2-test\r\n"
            b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == connection.recv(100)
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_body_that_is_not_compressed_as_it_claims_is_a_bad_request(fuzzed, encoding):
    """Nothing tries to unpack it."""
    headers = {"x-api-key": "da2-test", "content-encoding": encoding}
    assert 400 == ask(fuzzed, "POST", "/event", b"no such thing", headers)
    assert 200 == ask(fuzzed, "POST", "/event", b'{"channel":"/default/a","events":["1"]}', headers)


def test_number_too_large_for_json_is_refused_as_a_claim(fuzzed):
    """Python reads it, other programs do not."""
    request = b'{"claims": {"n": 17860681800757755529875375517597696}}'
    assert 400 == ask(fuzzed, "POST", "/_emulator/tokens", request)


@pytest.mark.parametrize("claims", [{"token_use": {}}, {"token_use": []}, {"sub": None}])
def test_token_with_a_claim_of_another_type_is_refused(fuzzed, claims):
    """Signed well, and still no token of a user pool."""
    shown = credentials_of(fuzzed, "user_pool", claims)
    assert shown
    connection, status = opened(fuzzed, upgrade_with(shown))
    with connection:
        connection.sendall(frame(b'{"type":"connection_init"}'))
        (refused,) = read_messages(connection, may_end=True)
    assert (101, "connection_error") == (status, refused["type"])
    assert "" == fuzzed.complaints()


def test_handlers_see_headers_that_are_no_text(fuzzed):
    """As far as they can be shown; subscribing and publishing go on."""
    connection, status = opened(fuzzed, upgrade(extra=b"x-seen: \x80\r\n"))
    with connection:
        connection.sendall(HANDLED + FENCE)
        heard = read_messages(connection)
    answers = [message["type"] for message in heard if message["type"] != "data"]
    assert (101, 4) == (status, len(answers))
    assert {"subscribe_success", "subscribe_error", "publish_success"} >= set(answers)
    assert "" == fuzzed.complaints()
