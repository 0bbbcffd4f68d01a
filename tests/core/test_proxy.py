import pytest

from harness.core.errors import ScenarioError
from harness.core.proxy import proxy_for

PROXY = "http://proxy.test:3128"


@pytest.fixture
def environment(monkeypatch):
    """Set variables of the environment."""

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://chat.test/", "secure.test:1"),
        ("wss://chat.test/", "secure.test:1"),
        ("http://chat.test/", "plain.test:2"),
        ("ws://chat.test/", "plain.test:2"),
    ],
)
def test_scheme_chooses_the_variable(environment, url, expected):
    """WebSockets take that of HTTP, as in curl; ALL_PROXY is for the others."""
    environment(HTTPS_PROXY="http://secure.test:1", http_proxy="plain.test:2", ALL_PROXY=PROXY)
    assert expected == str(proxy_for(url))


def test_all_proxy_is_for_schemes_without_one(environment):
    """In lower case too; a variable of the scheme itself goes first."""
    environment(all_proxy=PROXY, wss_proxy="http://sockets.test:4")
    found = [str(proxy_for(f"{scheme}://chat.test/")) for scheme in ("https", "ws", "wss")]
    assert ["proxy.test:3128", "proxy.test:3128", "sockets.test:4"] == found


def test_lower_case_goes_first(environment):
    """As in curl and Python."""
    environment(HTTPS_PROXY="http://upper.test:1", https_proxy="http://lower.test:2")
    assert "lower.test:2" == str(proxy_for("https://chat.test/"))


def test_capital_http_proxy_is_ignored_in_a_cgi_script(environment):
    """There a client of the web server sets it: a header named Proxy."""
    environment(HTTP_PROXY=PROXY, REQUEST_METHOD="GET")
    assert proxy_for("http://chat.test/") is None


@pytest.mark.parametrize(
    ("exceptions", "is_direct"),
    [
        ("chat.test", True),
        (".test", True),
        ("other.test, chat.test:8443", True),
        ("chat.test:9", False),
        ("hat.test", False),
        ("*", True),
    ],
)
def test_hosts_of_no_proxy_are_reached_directly(environment, exceptions, is_direct):
    """Names, ends of names, hosts with their port, or all."""
    environment(HTTPS_PROXY=PROXY, NO_PROXY=exceptions)
    assert is_direct == (proxy_for("https://chat.test:8443/") is None)


def test_address_of_ipv6_can_be_an_exception(environment):
    """Without brackets."""
    environment(HTTPS_PROXY=PROXY, NO_PROXY="2001:db8::1")
    assert proxy_for("https://[2001:db8::1]/") is None


@pytest.mark.parametrize("host", ["127.0.0.9", "[::1]", "localhost", "chat.localhost"])
def test_this_machine_has_no_proxy(environment, host):
    """Load on it stays on it."""
    environment(ALL_PROXY=PROXY)
    assert proxy_for(f"ws://{host}:1/") is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("socks5://user:secret@proxy.test:1080", "socks5://…"),
        ("socks5h://proxy.test:1080", "socks5h://…"),
        ("https://proxy.test:443", "https://…"),
        ("http://proxy.test", "no port"),
        ("http://:3128", "no host"),
        ("http://[::1", "something else"),
        ("http://proxy.test:99999", "something else"),
    ],
)
def test_other_kinds_of_proxies_are_refused_by_name(environment, value, found):
    """Without user and password."""
    environment(HTTPS_PROXY=value)
    with pytest.raises(ScenarioError) as caught:
        proxy_for("wss://chat.test/")
    expected = (
        "environment: HTTPS_PROXY must be http://host:port, with user:password@ before the host "
        f"if needed, got {found}"
    )
    assert expected == str(caught.value).splitlines()[0]


def test_password_shows_nowhere(environment):
    """Neither as a text nor in a traceback."""
    environment(HTTPS_PROXY="http://user:p%40ss@proxy.test:1")
    proxy = proxy_for("https://chat.test/")
    assert proxy is not None
    assert "Basic dXNlcjpwQHNz" == proxy.authorization
    assert "dXNl" not in f"{proxy} {proxy!r}"
