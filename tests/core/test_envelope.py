import json

from hypothesis import given
from hypothesis import strategies as st

from harness.core.envelope import Envelope, parse_envelope

NUMBER = st.integers(min_value=0, max_value=2**62)
ENVELOPES = st.builds(Envelope, st.text("0123456789abcdef", max_size=16), *[NUMBER] * 4)


@given(ENVELOPES, st.integers(min_value=0, max_value=2000))
def test_envelope_survives_its_own_json(envelope, size_bytes):
    """What a publisher encodes, a subscriber reads back, whatever the padding."""
    assert envelope == parse_envelope(envelope.to_json(size_bytes))


@given(ENVELOPES, st.integers(min_value=160, max_value=2000))
def test_envelope_is_padded_to_the_exact_size(envelope, size_bytes):
    """Filler brings the JSON to the size drawn, to the byte."""
    assert size_bytes == len(envelope.to_json(size_bytes))


def test_envelope_is_plain_json_with_documented_keys():
    """Another program can read the envelope with any JSON parser."""
    text = Envelope("run", 1, 2, 3, 4).to_json()
    assert {"r": "run", "s": 1, "q": 2, "i": 3, "t": 4, "f": ""} == json.loads(text)


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_foreign_event_is_no_envelope_and_no_crash(event):
    """Arbitrary bytes from strangers give None and never an exception."""
    assert parse_envelope(event) is None


def test_json_without_our_keys_is_no_envelope():
    """Valid JSON that is not an envelope is told apart."""
    assert [None] * 4 == [parse_envelope(text) for text in ('{"r":1}', "[]", "7", "null")]
