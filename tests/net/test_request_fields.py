import tracemalloc
import warnings
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.core.distribution import VERSION
from harness.core.errors import ScenarioError
from harness.core.outside_text import outside_text
from harness.net.request_fields import Cookies, RequestFields, subprotocols_of
from harness.scenario.client_options import ClientOptions, WebSocketOptions

ADDRESS = "http://chat.example/live/{channel}?v=1"
HERE = "http://chat.example/live/a"
USER = "someone"


def fields(address=ADDRESS, **options):
    return RequestFields(address, ClientOptions(**options))


def test_headers_without_a_table_name_the_harness():
    """An empty User-Agent is refused by many services."""
    assert {"User-Agent": f"fanout-harness/{VERSION}"} == RequestFields(ADDRESS, None).headers()


def test_header_of_the_target_replaces_ours_and_the_systems_whatever_its_case():
    """Two lines of one name would leave it to the server which one counts."""
    made = fields(headers={"user-agent": "browser", "AUTHORIZATION": "own"})
    assert {"user-agent": "browser", "AUTHORIZATION": "own", "Accept": "x"} == made.headers(
        {"Authorization": "Bearer key", "Accept": "x"}
    )


def test_secrets_come_from_the_environment_and_are_known_as_such(monkeypatch):
    """The table holds their names; what a server repeats of them is not shown."""
    values = {"HEADER": "header-s3cret", "COOKIE": "cookie-s3cret", "QUERY": "query s3cret&"}
    for name, value in values.items():
        monkeypatch.setenv(name, f"{value}\n")
    made = fields(
        headers_env={"X-Key": "HEADER"},
        cookies={"a": "1"},
        cookies_env={"session": "COOKIE"},
        query={"b": "2"},
        query_env={"tok": "QUERY"},
    )
    assert "header-s3cret" == made.headers()["X-Key"]
    assert b"Cookie: a=1; session=cookie-s3cret\r\n" == made.cookies.line(USER)
    assert f"{ADDRESS}&b=2&tok=query%20s3cret%26" == made.address
    assert "s3cret" not in outside_text(f"{made.headers()} {made.address} {made.cookies.line('')}")


def test_variable_that_is_not_set_is_named(monkeypatch):
    """With the key that names it."""
    monkeypatch.delenv("MISSING", raising=False)
    with pytest.raises(ScenarioError, match=r"client\.query_env .* MISSING, which is not set"):
        fields(query_env={"tok": "MISSING"})


def test_secret_that_no_header_can_carry_is_refused_without_showing_it(monkeypatch):
    """A letter outside of ASCII means another byte to each server."""
    monkeypatch.setenv("HEADER", "schlüssel")
    with pytest.raises(ScenarioError, match="header X-Key must hold printable ASCII") as caught:
        fields(headers_env={"X-Key": "HEADER"}).headers()
    assert "schl" not in str(caught.value)


@pytest.mark.parametrize(
    ("user_info", "expected"),
    [
        ("user:pass", "Basic dXNlcjpwYXNz"),
        ("us%65r:p%61ss", "Basic dXNlcjpwYXNz"),
        ("user", "Basic dXNlcjo="),
        ("user:p%40%C3%A4", "Basic dXNlcjpwQMOk"),
    ],
    ids=["plain", "percent-encoded", "no password", "not ASCII"],
)
def test_user_info_becomes_basic_authorization(user_info, expected):
    """And is no part of the address from then on; the key, where there is one, comes first."""
    made = fields(f"http://{user_info}@[::1]:8080/live")
    assert expected == made.headers()["Authorization"]
    assert "http://[::1]:8080/live" == made.address
    assert "Bearer key" == made.headers({"Authorization": "Bearer key"})["Authorization"]


def test_query_of_the_system_stands_with_that_of_the_address_and_of_the_target():
    """A channel that is put into the address later keeps its place."""
    made = RequestFields(
        "ws://h/{channel}", ClientOptions(query={"a": "{channel}"}), {"key": "k/="}
    )
    assert "ws://h/{channel}?key=k%2F%3D&a=%7Bchannel%7D" == made.address


def test_cookie_header_of_the_target_joins_its_cookies():
    """A request has one line of them."""
    made = fields(headers={"cookie": "a=1; b=2"}, cookies={"b": "3"})
    assert b"Cookie: a=1; b=3\r\n" == made.cookies.line(USER)
    assert {"User-Agent", "Cookie"} == set(made.headers_of_no_user({}))
    assert {"User-Agent"} == set(made.headers())


def test_subprotocols_have_the_values_of_variables(monkeypatch):
    """A token as subprotocol is a secret."""
    monkeypatch.setenv("TOKEN", "abc-123")
    offered = subprotocols_of(WebSocketOptions(subprotocols=("chat.v1", "token.${TOKEN}")))
    assert ("chat.v1", "token.abc-123") == offered
    assert () == subprotocols_of(ClientOptions())


@pytest.mark.parametrize("value", ["two words", "comma,comma", "padded=="])
def test_token_that_is_no_subprotocol_is_refused_without_showing_it(monkeypatch, value):
    """It would become two subprotocols, or break the request."""
    monkeypatch.setenv("TOKEN", value)
    with pytest.raises(ScenarioError, match=r"client\.subprotocols must hold letters") as caught:
        subprotocols_of(WebSocketOptions(subprotocols=("${TOKEN}",)))
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Host", "CONNECTION", "last-event-id", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"]
)
@pytest.mark.parametrize("key", ["headers", "headers_env"])
def test_header_that_the_protocol_needs_is_refused(key, name):
    """It would break the request, or say something else than the harness does."""
    with pytest.raises(ValidationError, match="the protocol itself needs this header"):
        ClientOptions(**{key: {name: "VALUE"}})


# Cookies that servers set.


def cookies(**constant):
    return Cookies(HERE, constant)


def test_cookie_that_is_set_comes_back_for_its_user_alone():
    """Where the path and the host are those of the answer."""
    jar = cookies(a="1")
    jar.take(USER, ["sid=x; Path=/; HttpOnly", "b=2"])
    assert b"Cookie: a=1; sid=x\r\n" == jar.line(USER, "http://chat.example/other")
    assert b"Cookie: a=1; b=2; sid=x\r\n" == jar.line(USER)
    assert b"Cookie: a=1\r\n" == jar.line("another")
    assert b"" == jar.line(USER, "http://elsewhere.example/", is_ours=False)


@pytest.mark.parametrize(
    ("set_cookie", "address", "is_sent"),
    [
        ("sid=x; Max-Age=0", HERE, False),
        ("sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", HERE, False),
        ("sid=x; Expires=Fri, 01 Jan 2999 00:00:00 GMT", HERE, True),
        ("sid=x; Secure; Path=/", HERE, False),
        ("sid=x; Secure; Path=/", "wss://chat.example/live/a", True),
        ("sid=x; Domain=chat.example", HERE, True),
        ("sid=x; Domain=elsewhere.example", HERE, False),
        ("sid=x; Path=/elsewhere", HERE, False),
        ("sid=x\x00", HERE, False),
        ("sid=x\nX-Injected: 1", HERE, False),
        ("sid=" + "x" * 5000, HERE, False),
        ("=", HERE, False),
        (";;;", HERE, False),
        ("", HERE, False),
    ],
)
def test_cookie_is_sent_where_rfc_6265_says_so(set_cookie, address, is_sent):
    """What breaks it is ignored."""
    jar = cookies()
    jar.take(USER, [set_cookie])
    assert (b"Cookie: sid=x\r\n" if is_sent else b"") == jar.line(USER, address)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "localhost"])
def test_cookie_comes_back_to_hosts_without_a_domain(host):
    """Addresses, and names without a dot."""
    jar = Cookies(f"ws://{host}/a", {})
    jar.take(USER, ["sid=x"])
    assert b"Cookie: sid=x\r\n" == jar.line(USER)


def test_cookie_that_is_set_takes_the_place_of_the_targets():
    """As a session that is renewed."""
    jar = cookies(sid="first")
    jar.take(USER, ["sid=second; Path=/"])
    assert b"Cookie: sid=second\r\n" == jar.line(USER)


def test_cookies_of_a_user_are_bounded_and_the_oldest_make_room():
    """However many come, and however long they are."""
    jar = cookies()
    for start in range(0, 200, 40):
        jar.take(USER, [f"c{number}=x" for number in range(start, start + 40)])
    names = [pair.partition(b"=")[0] for pair in jar.line(USER)[8:-2].split(b"; ")]
    assert [f"c{number}".encode() for number in range(150, 200)] == names
    jar.take(USER, ["long=" + "y" * 4000])
    assert 4096 >= len(jar.line(USER)) - len(b"Cookie: \r\n") - 2 * len(names)
    assert b"y" * 4000 in jar.line(USER)


@given(st.text(st.sampled_from('aexpirs=;, 12:-/.JanGMT"\\%ÿ\0\n'), max_size=60))
@example("a=1; expires=:")
@example("a=1; max-age=" + "9" * 4000)
def test_cookie_that_cannot_be_read_spoils_no_other(set_cookie):
    """Neither an exception nor a warning leaves the jar."""
    jar = cookies()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jar.take(USER, [set_cookie, "sid=x"])
    assert b"sid=x" in jar.line(USER)


def test_answers_without_cookies_cost_nothing():
    """Most services set none."""
    jar = cookies(a="1")
    head = SimpleNamespace(set_cookies=())
    jar.line(0)
    tracemalloc.start()
    try:
        for user in range(1000):
            jar.take(user, head.set_cookies)
            jar.line(user)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 10_000 > kept_bytes
