"""Which hosts and origins are this service's own."""

import pytest

from harness.core.own_requests import is_own_host, is_own_origin, is_token


@pytest.mark.parametrize("host", ["127.0.0.1:8089", "[::1]:80", "localhost:8089", "10.0.0.7:4000"])
def test_addresses_and_loopback_names_are_own(host):
    """DNS rebinding needs a name that is not ours."""
    assert is_own_host(host)


@pytest.mark.parametrize("host", ["", "evil.example.org", "evil.example.org:8089", "[::1", "a@b:c"])
def test_other_names_are_not_own(host):
    """A name that resolves to this machine for a moment does not name it."""
    assert not is_own_host(host)


def test_configured_name_is_own():
    """What the user made it listen on."""
    assert is_own_host("page.example.org:80", ("page.example.org",))


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        (None, True),
        ("http://127.0.0.1:8089", True),
        ("http://127.0.0.1:8090", False),
        ("https://evil.example.org", False),
        ("null", False),
        ("", False),
        ("http://[", False),
    ],
)
def test_origin_is_that_of_the_host(origin, own):
    """Another port of this machine is another origin."""
    assert is_own_origin(origin, "127.0.0.1:8089") is own


def test_token_is_compared_whole():
    """Neither an empty one nor a part is right."""
    assert is_token("abc", "abc")
    assert not is_token("ab", "abc")
    assert not is_token("", "")
    assert not is_token(None, "abc")
    assert not is_token("é", "abc")
