"""Messages among arbitrary bytes: the good ones are all counted, and nothing raises."""

from hypothesis import given
from hypothesis import strategies as st

from harness.core.message_token import TOKEN_BYTES, MessageToken, MessageWriter, needle_of
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import MessageTracker
from harness.net.frames import BINARY, FrameReader

RUN = "run"
MESSAGES = [
    MessageWriter(RUN).write(MessageToken(0, number, 1, 2 + number), 66 + number)
    for number in range(20)
]
ODD = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", needle_of(RUN), needle_of(RUN)[:6], b"[" * 2000]),
    st.integers(1, TOKEN_BYTES - 1).map(lambda size: MESSAGES[0][:size]),
)
FRAMES = st.lists(st.lists(st.tuples(ODD, st.integers(0, 19)), max_size=4), max_size=12)


def binary_frame(payload):
    """A server's frame, with the longest form of the length."""
    return bytes((0x80 | BINARY, 127)) + len(payload).to_bytes(8, "big") + payload


def subscriber():
    ledger = SubscriberLedger(MessageTracker(RUN))
    ledger.owed_from_ns = 0
    return ledger


@given(FRAMES, ODD, st.integers(20, 300))
def test_every_good_message_among_arbitrary_bytes_is_counted(frames, rest, piece_bytes):
    """Each message that stands in a frame is delivered once, or else duplicated; in any pieces."""
    ledger, seen, expected, stream = subscriber(), set(), [0, 0], b""
    for frame in frames:
        payload = b"".join(odd + b"|" + MESSAGES[number] for odd, number in frame) + b"|" + rest
        stream += binary_frame(payload)
        for number in {number for _, number in frame}:
            expected[number in seen] += 1
            seen.add(number)
    reader = FrameReader()
    for start in range(0, len(stream), piece_bytes):
        for _, payload in reader.feed(stream[start : start + piece_bytes]):
            ledger.event(payload, 1_000)
    assert expected == [ledger.delivered_count, ledger.duplicated]


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_foreign_or_malformed_and_raise_nothing(payloads):
    """One count an event, where none of them holds a token."""
    ledger = subscriber()
    for payload in payloads:
        ledger.event(payload, 1_000)
    assert len(payloads) == ledger.foreign + ledger.malformed
