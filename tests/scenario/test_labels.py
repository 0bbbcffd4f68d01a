import pytest

from harness.core.errors import ScenarioError
from harness.scenario.labels import Labels, read_labels


def problems_of(label=None, tags=None, **environment):
    """Return the sentence that refuses them."""
    with pytest.raises(ScenarioError) as caught:
        read_labels(label, tags, environment)
    return str(caught.value)


def test_nothing_given_is_no_label_and_no_tags():
    """Most runs say nothing."""
    assert Labels("", {}) == read_labels(None, None, {})


def test_environment_gives_label_and_tags():
    """As in a pipeline."""
    given = {"HARNESS_LABEL": "checkout 2.1", "HARNESS_TAGS": "commit=1a2b, env=staging,"}
    expected = Labels("checkout 2.1", {"commit": "1a2b", "env": "staging"})
    assert expected == read_labels(None, None, given)


def test_flags_beat_the_environment_key_by_key():
    """An empty label takes it away; a value may hold an equals sign."""
    given = {"HARNESS_LABEL": "old", "HARNESS_TAGS": "commit=1a2b,env=staging"}
    assert Labels("", {"commit": "x=y", "env": "staging"}) == read_labels("", ["commit=x=y"], given)


@pytest.mark.parametrize("tag", ["commit", "=1", "a b=1", "1a=1", "a=", "a-b=1", "k" * 41 + "=1"])
def test_tag_of_another_form_is_refused_with_an_example(tag):
    """One sentence, and how it is written."""
    assert problems_of(tags=[tag]) == (
        "--tag must have the form KEY=VALUE, where the key is letters, digits and _, "
        f"got {tag!r}\nhint: for example --tag commit=1a2b3c4"
    )


def test_each_wrong_part_is_named_where_it_was_given():
    """All of them at once."""
    found = problems_of("a\x1b[1m", ["a=1", "a=2", f"b={'v' * 101}"], HARNESS_TAGS="x")
    form = "must have the form KEY=VALUE, where the key is letters, digits and _"
    assert [
        r"--label must have no control characters, got 'a\x1b[1m'",
        f"HARNESS_TAGS {form}, got 'x'",
        "--tag: a must be given once, got '2'",
        "--tag: b must have at most 100 characters, got 101 characters",
    ] == [line for line in found.splitlines() if not line.startswith("hint: ")]


def test_too_long_a_label_of_the_environment_names_the_variable():
    """So that it is looked for in the right place."""
    found = problems_of(HARNESS_LABEL="x" * 101)
    assert "HARNESS_LABEL must have at most 100 characters, got 101 characters" == found


def test_more_than_twenty_tags_are_refused():
    """A page shows them in one line."""
    found = problems_of(tags=[f"k{number}=1" for number in range(21)])
    assert "--tag must be at most 20 in total, got 21" == found


@pytest.mark.parametrize(
    ("label", "environment", "found"),
    [
        ("   ", {}, "--label must not be blank, got '   '"),
        (None, {"HARNESS_TAGS": ",,"}, "HARNESS_TAGS must hold tags, as a=b,c=d, or be empty"),
    ],
)
def test_label_or_tags_that_hold_nothing_are_refused(label, environment, found):
    """A variable that was not filled in is no label."""
    assert problems_of(label, **environment).startswith(found)
