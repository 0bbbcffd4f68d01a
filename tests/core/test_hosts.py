import pytest

from harness.core.hosts import is_ipv4_loopback, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost", "api.localhost"])
def test_loopback_hosts_are_known_as_such(host):
    """Addresses of both families, and the names that are reserved for them."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.com", ""])
def test_other_hosts_are_not_loopback(host):
    """An address for all interfaces is reached from elsewhere too."""
    assert not is_loopback(host)


def test_source_addresses_are_of_the_ipv4_network_alone():
    """IPv6 has one loopback address."""
    assert [True, False, False] == list(map(is_ipv4_loopback, ["127.9.9.9", "::1", "localhost"]))
