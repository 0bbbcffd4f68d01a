"""Addresses of one channel, of several, and of all; and that a name in them is read back."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.channels import channels_in
from harness.net.channel_addresses import path_of, with_channels

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
