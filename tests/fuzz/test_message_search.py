"""Messages among arbitrary bytes: the good ones are all counted, and nothing raises."""

from hypothesis import given
from hypothesis import strategies as st

from harness.core.message_token import MessageToken, MessageWriter, needle_of
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import MessageTracker

RUN = "run"
MESSAGES = [
    MessageWriter(RUN).write(MessageToken(0, number, 1, 2 + number), 66 + number)
    for number in range(20)
]
ODD = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", needle_of(RUN), needle_of(RUN)[:6], b"[" * 2000, MESSAGES[0][:50]]),
    st.tuples(st.sampled_from(MESSAGES), st.integers(1, 65)).map(
        lambda drawn: drawn[0][: drawn[1]]
    ),
)
FRAMES = st.lists(st.lists(st.tuples(ODD, st.integers(0, 19)), max_size=4), max_size=12)


def subscriber():
    ledger = SubscriberLedger(MessageTracker(RUN))
    ledger.owed_from_ns = 0
    return ledger


@given(FRAMES, ODD)
def test_every_good_message_among_arbitrary_bytes_is_counted(frames, rest):
    """Each message that stands in a frame is delivered once, or else duplicated."""
    ledger, seen, expected = subscriber(), set(), [0, 0]
    for frame in frames:
        ledger.event(b"".join(odd + b"|" + MESSAGES[n] for odd, n in frame) + b"|" + rest, 1_000)
        for number in {number for _, number in frame}:
            expected[number in seen] += 1
            seen.add(number)
    assert expected == [ledger.delivered_count, ledger.duplicated]


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_foreign_or_malformed_and_raise_nothing(payloads):
    """One count an event, where none of them holds a token."""
    ledger = subscriber()
    for payload in payloads:
        ledger.event(payload, 1_000)
    assert len(payloads) == ledger.foreign + ledger.malformed
