import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import closest, did_you_mean


@pytest.mark.parametrize(
    ("written", "known", "meant"),
    [
        ("rate_per_sec", ["rate_per_s", "count"], "rate_per_s"),
        ("Subscribers", ["subscribers"], "subscribers"),
        ("=<", ["<=", "<", ">="], "<="),
        ("colour", ["rate_per_s"], None),
        ("x", [], None),
    ],
)
def test_closest_word_is_found_or_none_is(written, known, meant):
    """Misspelt, miscased and swapped letters are understood; anything else is not guessed at."""
    assert meant == closest(written, known)


def test_hint_names_the_word():
    """The hint is a question."""
    assert "did you mean seed?" == did_you_mean("sed", ["seed"])


@given(written=st.text(), known=st.lists(st.text()))
def test_closest_word_is_one_of_the_known(written, known):
    """No word is made up."""
    word = closest(written, known)
    assert word is None or word in known
