import ssl
from urllib.parse import urlsplit

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from harness.core.channels import channels_in
from harness.net.addresses import (
    encoded,
    host_header,
    is_encrypted,
    origin,
    path_of,
    source_addresses,
    tls_context,
    with_channels,
)

STREAM = "https://example.org/sub/{channel}?v=1"


@pytest.mark.parametrize(
    ("channels", "separator", "expected"),
    [
        (["/default/room-0"], "", "/sub/default/room-0?v=1"),
        (["/default/room-0"], ",", "/sub/default/room-0?v=1"),
        (["/default/a", "/default/b", "/c"], ",", "/sub/default/a,default/b,c?v=1"),
        (["/default/*"], ",", "/sub/default/*?v=1"),
        (["/a b", "/c,d", "/e?f#g"], ",", "/sub/a%20b,c%2Cd,e%3Ff%23g?v=1"),
    ],
)
def test_channels_stand_in_their_place_each_encoded_by_itself(channels, separator, expected):
    """The separator stays as it is, so it cannot be taken for a part of a name."""
    assert expected == path_of(with_channels(STREAM, channels, separator))


def test_separator_may_begin_another_parameter():
    """Services that take one parameter a channel are asked that way."""
    address = with_channels("http://h/stream?topic={channel}", ["/a", "/b&c"], "&topic=")
    assert "topic=a&topic=b%26c" == urlsplit(address).query


def test_address_without_a_place_for_channels_stays_as_it_is():
    """A service with one stream for all needs none."""
    assert "http://h/all" == with_channels("http://h/all", ["/a", "/b"], ",")


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True))
def test_any_names_come_out_of_an_address_as_they_went_in(names):
    """Whatever is in them: the emulators read what the clients write."""
    names = [name for name in names if not name.startswith("/")] or ["a"]
    assert tuple(names) == channels_in(with_channels("{channel}", names, ","))


def test_each_worker_on_loopback_has_addresses_of_its_own_and_enough_of_them():
    """17,500 connections take five addresses, and no two workers share one."""
    first, second = (source_addresses("ws://127.0.0.1:1/", (), n, 17_500) for n in (0, 1))
    assert ("127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4", "127.0.1.5") == first
    assert set() == set(first) & set(second)


@pytest.mark.parametrize("worker", range(5))
def test_addresses_that_the_target_names_are_taken_in_turn(worker):
    """On real hosts the target says which addresses there are."""
    expected = ("10.0.0.1", "10.0.0.2")[worker % 2]
    assert (expected,) == source_addresses("wss://h/", ("10.0.0.1", "10.0.0.2"), worker, 9)


def test_elsewhere_the_kernel_chooses():
    """Without loopback and without names there is nothing to choose from."""
    assert () == source_addresses("wss://example.org/", (), 0, 9)


def test_origin_is_the_same_however_it_is_written():
    """Capitals, the default port and user info do not make another host."""
    assert origin("https://h.example/a") == origin("HTTPS://user:x@H.example:443/b")
    assert origin("http://h.example/") != origin("https://h.example/")


def test_host_header_of_an_international_name_is_ascii():
    """As the name is looked up, with the port as it is written."""
    assert "xn--e1afmkfd.xn--p1ai:81" == host_header("http://пример.рф:81/")
    assert "[::1]:81" == host_header("http://u:p@[::1]:81/")


def test_encoded_address_fits_into_a_request_line():
    """What is encoded before stays; the channel's place stays too."""
    address = encoded("http://h//a b/%20/{channel}?q=ü c#part")
    assert "http://h/a%20b/%20/{channel}?q=%C3%BC%20c" == address


@pytest.mark.parametrize(
    ("address", "expected"),
    [("HTTPS://h/", True), ("Wss://h/", True), ("wss://h/", True), ("WS://h/", False)],
)
def test_scheme_says_whether_tls_is_used_whatever_its_case(address, expected):
    """Schemes are case-insensitive, RFC 3986, section 3.1."""
    assert is_encrypted(address) is expected


def test_authorities_of_a_target_are_trusted_beside_those_of_the_system(tmp_path, monkeypatch):
    """The file adds to them."""
    ours, systems = (trustme.CA() for _ in range(2))
    for name, authority in (("ours", ours), ("systems", systems)):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "systems"))
    trusted = tls_context(ca_file=str(tmp_path / "ours")).get_ca_certs(binary_form=True)
    for authority in (ours, systems):
        assert ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode()) in trusted
