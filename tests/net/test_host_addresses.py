import errno
import socket
from collections import Counter

import gevent
import gevent.socket
import pytest

from harness.core.errors import TargetUnreachableError
from harness.net import host_addresses
from harness.net.host_addresses import RESOLVE_EVERY_S, HostAddresses
from tests.support.listeners import wait_for

V4 = [("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.3", 80)]
V6 = [("2001:db8::1", 80, 0, 0), ("2001:db8::2", 80, 0, 0)]


class Resolver:
    """What DNS says, and how often it was asked."""

    def __init__(self, *addresses):
        self.addresses = list(addresses)
        self.asked = 0
        self.fails = False

    def __call__(self, host, port, **_):
        self.asked += host == "chat.test"
        if self.fails:
            raise gevent.socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        families = {2: socket.AF_INET, 4: socket.AF_INET6}
        return [(families[len(one)], socket.SOCK_STREAM, 6, "", one) for one in self.addresses]


@pytest.fixture
def resolver(monkeypatch):
    """A resolver that knows three hosts, all of which have a route."""
    gevent.sleep(0)  # Lookups that tests before this one have left.
    found = Resolver(*V4)
    monkeypatch.setattr("gevent.socket.getaddrinfo", found)
    monkeypatch.setattr(host_addresses, "_has_route", lambda *_: True)
    return found


def addresses(first=0):
    return HostAddresses("chat.test", 80, first, "check it")


def test_each_address_is_used_in_turn_and_as_often_as_the_others(resolver):
    """300 connections to three addresses are 100 to each; IPv6 is among them."""
    resolver.addresses = [*V4, *V6[:1]]
    host = addresses()
    used = Counter(host.next_two()[0] for _ in range(400))
    assert dict.fromkeys([*V4, *V6[:1]], 100) == used


def test_workers_begin_with_different_addresses_whatever_order_dns_has(resolver):
    """DNS servers rotate their answers, so each worker sees another order."""
    firsts = []
    for worker in range(3):
        resolver.addresses = V4[worker:] + V4[:worker]
        firsts.append(addresses(worker).next_two()[0])
    assert V4 == firsts


def test_second_address_is_another_one_where_there_is_another(resolver):
    """It is for a connection that the first refuses."""
    assert (V4[0], V4[1]) == addresses().next_two()
    resolver.addresses = V4[:1]
    assert (V4[0], V4[0]) == addresses().next_two()


def test_address_that_is_listed_twice_gets_one_share(resolver):
    """/etc/hosts and DNS may both know a host."""
    resolver.addresses = [V4[0], V4[0], V4[1]]
    host = addresses()
    assert [V4[0], V4[1], V4[0], V4[1]] == [host.next_two()[0] for _ in range(4)]


def test_name_is_resolved_again_only_when_it_is_old_and_nobody_waits(resolver, now_s):
    """A flash crowd costs one lookup, and its first users take the addresses known before."""
    host = addresses()
    for _ in range(1000):
        host.next_two()
    assert 1 == resolver.asked
    resolver.addresses = [("10.9.9.9", 80)]
    now_s[0] += RESOLVE_EVERY_S
    assert {host.next_two()[0] for _ in range(1000)} == set(V4)
    gevent.sleep(0)
    assert ({("10.9.9.9", 80)}, 2) == ({host.next_two()[0] for _ in range(9)}, resolver.asked)


def test_addresses_known_before_serve_on_while_dns_fails(resolver, now_s):
    """The system has not gone because a lookup failed."""
    host = addresses()
    resolver.fails = True
    now_s[0] += RESOLVE_EVERY_S
    host.next_two()
    gevent.sleep(0)
    assert (2, V4[1]) == (resolver.asked, host.next_two()[0])


def test_unknown_name_is_refused_with_what_to_check(resolver):
    """The sentence names the host."""
    resolver.fails = True
    with pytest.raises(TargetUnreachableError, match=r"chat.test:80: the name does not resolve"):
        addresses()


def test_family_without_a_route_is_left_out(resolver, monkeypatch):
    """A machine without IPv6 must not fail every second user of a host that has it."""
    resolver.addresses = [*V4, *V6]
    monkeypatch.setattr(host_addresses, "_has_route", lambda family, _: family == socket.AF_INET)
    host = addresses()
    assert set(V4) == {host.next_two()[0] for _ in range(10)}


def test_host_without_any_route_keeps_its_addresses_so_that_the_connect_says_why(
    resolver, monkeypatch
):
    """The error of the kernel is better than none."""
    monkeypatch.setattr(host_addresses, "_has_route", lambda *_: False)
    assert V4[0] == addresses().next_two()[0]


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_route_is_what_the_kernel_says_of_a_udp_socket(monkeypatch, number):
    """No packet is sent; each error means that there is none."""
    assert host_addresses._has_route(socket.AF_INET, ("127.0.0.2", 9))

    class Refusing:
        def __init__(self, *_):
            pass

        def connect(self, _):
            raise OSError(number, "no")

        def close(self):
            pass

    monkeypatch.setattr("_socket.socket", Refusing)
    assert not host_addresses._has_route(socket.AF_INET6, ("2001:db8::1", 9, 0, 0))


def test_real_resolver_knows_this_machine():
    """Without any patch; the lookup again goes through gevent's resolver."""
    host = HostAddresses("localhost", 80, 0, "")
    assert host.next_two()[0][0] in ("127.0.0.1", "::1")
    host._resolved_s -= RESOLVE_EVERY_S
    before = host._found
    host.next_two()
    wait_for(lambda: host._found is not before)
    assert before == host._found
