import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import HarnessError
from harness.systems.appsync_events.channels import (
    ChannelError,
    is_wildcard,
    matching_patterns,
    normalise_channel,
    path,
)
from tests.support.appsync_peers import BAD_CHANNELS

SEGMENTS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?", fullmatch=True)


@pytest.mark.parametrize("spelling", ["default/a", "/default/a", "/default/a/", "default/a/"])
def test_slashes_at_the_ends_do_not_change_the_channel(spelling):
    """One leading and one trailing slash are optional."""
    assert ("default", "a") == normalise_channel(spelling)


@pytest.mark.parametrize(
    "channel",
    [
        "/news",
        "/a/b/c/d/e",
        "/A-1/b--c",
        "/" + "x" * 50,
        "/default/*",
        "/default/rooms/*",
        "/a/b/c/d/*",
    ],
)
def test_channel_within_the_grammar_is_accepted(channel):
    """Up to five segments of 50 letters, digits and inner dashes are a channel."""
    assert channel == path(normalise_channel(channel))


BAD_WILDCARDS = ["/*", "*", "/a/b/c/d/e/*", "/default/*/x", "/default/a*", "/default/**"]


@pytest.mark.parametrize("channel", [*BAD_CHANNELS, *BAD_WILDCARDS, "//", "//default"])
def test_channel_outside_the_grammar_is_refused(channel):
    """Whatever the documented pattern does not match is no channel."""
    with pytest.raises(ChannelError):
        normalise_channel(channel)


def test_channel_error_names_the_channel_and_the_rule():
    """The sentence says what was found and what is required."""
    with pytest.raises(HarnessError) as caught:
        normalise_channel("/default/a_b")
    assert (
        "channel '/default/a_b': segment 'a_b', "
        "each segment must be 1-50 letters, digits and inner dashes"
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        (("default", "a", "b"), [("default", "a", "b"), ("default", "*"), ("default", "a", "*")]),
        (("default",), [("default",)]),
        (("default", "*"), [("default", "*")]),
    ],
    ids=["any depth below a wildcard", "not the prefix itself", "a wildcard once"],
)
def test_event_reaches_its_channel_and_every_wildcard_above_it(channel, expected):
    """At any depth; where publishing to a wildcard is let through, nobody gets the event twice."""
    assert expected == matching_patterns(channel)


@given(st.lists(SEGMENTS, min_size=1, max_size=5))
def test_normal_form_of_a_normal_form_is_itself(segments):
    """Normalising a path built from segments gives the same segments again."""
    assert tuple(segments) == normalise_channel(path(tuple(segments)))


@given(st.text(max_size=80))
def test_any_text_is_a_channel_or_a_channel_error(text):
    """No text makes the parser fail otherwise, and what it accepts has a sound form."""
    try:
        segments = normalise_channel(text)
    except ChannelError:
        return
    assert 1 <= len(segments) <= 5
    assert is_wildcard(segments) == ("*" in segments)
