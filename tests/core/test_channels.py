"""Which listeners an event reaches, and which channels a listener means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.channels import channels_in, channels_named, is_wildcard, names_of

KNOWN = {"default/a": 1, "default/b/c": 2, "other/a": 3, "default": 4}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default/a", ("default/a",)),
        ("default/a,other/b,default/a", ("default/a", "other/b")),
        ("default%2Fa,x%2Cy", ("default/a", "x,y")),
        ("default/*", ("default/*",)),
        ("", ("",)),
    ],
)
def test_channels_of_an_address_are_told_apart_before_they_are_decoded(text, expected):
    """Each once, in their order."""
    assert expected == channels_in(text)


def test_event_is_heard_by_its_own_name_and_each_wildcard_above_it():
    """The nearest first."""
    assert ["default/a/b", "default/a/*", "default/*", "*"] == names_of("default/a/b")
    assert ["/default/a", "/default/*", "/*", "*"] == names_of("/default/a")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["default/a"], {"default/a"}),
        (["default/a", "nobody/knows"], {"default/a"}),
        (["default/*"], {"default/a", "default/b/c"}),
        (["default/*", "default/a", "other/a"], {"default/a", "default/b/c", "other/a"}),
        (["default/b/*"], {"default/b/c"}),
        (["defa*"], set()),
        (["*"], set(KNOWN)),
    ],
)
def test_names_stand_for_the_channels_that_begin_like_them(names, expected):
    """A wildcard is a whole last segment, and none of its own prefix."""
    found = channels_named(names, KNOWN)
    assert (expected, len(expected)) == (set(found), len(found))


@pytest.mark.parametrize(
    ("name", "expected"), [("*", True), ("a/*", True), ("a*", False), ("*/a", False), ("a", False)]
)
def test_wildcard_is_a_whole_last_segment(name, expected):
    """Elsewhere a star is a character like any other."""
    assert expected == is_wildcard(name)


SEGMENTS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4)


@given(channel=SEGMENTS, prefix=SEGMENTS)
def test_wildcard_is_among_the_names_of_exactly_what_begins_like_it(channel, prefix):
    """The two ways of asking agree."""
    name, wildcard = "/".join(channel), "/".join([*prefix, "*"])
    begins = len(channel) > len(prefix) and channel[: len(prefix)] == prefix
    assert begins == (wildcard in names_of(name)) == bool(channels_named([wildcard], [name]))
