"""What services do to a message on its way, and what is counted of it."""

import html
import json
import struct

import pytest

from harness.core.message_token import (
    END_MARK,
    FILLER,
    TOKEN_BYTES,
    MessageToken,
    MessageWriter,
    needle_of,
)
from harness.measure.ledger import SubscriberLedger
from harness.measure.message_tracker import EXAMPLE_CHARACTERS, EXAMPLES, MessageTracker

RUN = "run"
ROOMS = ("/default/room-0", "/default/room-1")
WRITER = MessageWriter(RUN, '{"text":"{message}"}')
KERNEL_NS = 5_000_000
NOTHING = {"foreign": 0, "malformed": 0, "altered": 0, "misrouted": 0}


def written(sequence=0, stream=0, size_bytes=200, run_id=RUN):
    """A message of a room, as the service gets it."""
    token = MessageToken(stream, sequence, 1_000, 2_000 + sequence)
    return MessageWriter(run_id, '{"text":"{message}"}').write(token, size_bytes)


def subscriber(*channels, tracker=None):
    ledger = SubscriberLedger(tracker or MessageTracker(RUN, channels=ROOMS), channels or ROOMS)
    ledger.owed_from_ns = 1_500
    return ledger


def irregular(ledger):
    return {name: getattr(ledger, name) for name in NOTHING}


def doubled(message):
    """Every number of the JSON around the message as a double of 17 digits."""
    return json.dumps({"at": 1.7645432112345678e18, **json.loads(message)}).encode()


ONE, TWO = written(0), written(1)
TEXT = json.loads(ONE)["text"].encode()
HARMLESS = {
    "as it is": ONE,
    "a plain text": b"hello " + TEXT + b" there",
    "numbers re-encoded": doubled(ONE),
    "HTML-escaped": html.escape(ONE.decode()).encode(),
    "JSON in a JSON string": json.dumps({"body": json.dumps(ONE.decode())}).encode(),
    "behind data:": b"data: " + ONE + b"\n\n",
    "between binary fields": b"\x0a\xff" + struct.pack("<HQ", 200, 2**63) + TEXT + b"\x12\x00",
    "not UTF-8 around it": b"\xff\xfe\0" + ONE + b"\xc3",
    "a value of the wrong type beside it": b'{"i":[1],"q":null,"m":' + ONE + b"}",
    "deep JSON around it": b"[" * 10_000 + ONE + b"]" * 10_000,
    "as text and as HTML": json.dumps({"t": ONE.decode(), "h": f"<b>{ONE.decode()}</b>"}).encode(),
    "cut in a preview before it": TEXT[: TOKEN_BYTES + 5] + b" ... " + TEXT,
    "lower-cased": ONE.lower(),
}


@pytest.mark.parametrize("payload", HARMLESS.values(), ids=HARMLESS)
def test_message_is_found_wherever_it_stands(payload):
    """Once, with the times of its own token, and its bytes are recognised from then on."""
    ledger = subscriber()
    known = ledger.event(payload, KERNEL_NS)
    assert known is not None
    assert (1, 1, NOTHING) == (ledger.delivered_count, ledger.received_count, irregular(ledger))
    assert (1_000, 2_000, [KERNEL_NS]) == (known.token.intended_ns, known.sent_ns, [*known.take()])


def test_several_messages_in_one_frame_are_each_a_delivery():
    """The frame is searched again at the next subscriber."""
    tracker = MessageTracker(RUN, channels=ROOMS)
    for ledger in (subscriber(tracker=tracker), subscriber(tracker=tracker)):
        assert ledger.event(b"[" + ONE + b"," + TWO + b"," + ONE + b"]", KERNEL_NS) is None
        assert (2, 0, NOTHING) == (ledger.delivered_count, ledger.duplicated, irregular(ledger))


def test_message_in_two_frames_is_duplicated():
    """Only copies within one frame are one delivery."""
    ledger = subscriber()
    for payload in (ONE, b"again " + ONE):
        ledger.event(payload, KERNEL_NS)
    assert (1, 1) == (ledger.delivered_count, ledger.duplicated)


def place_of(piece):
    return ONE.index(piece)


DELIVERED_ALTERED = {
    "filler replaced": ONE.replace(FILLER * 4, b"*" * 4),
    "a shorter filler": ONE.replace(FILLER * 4, b"", 1),
    "a longer filler": ONE.replace(FILLER * 4, FILLER * 5, 1),
    "cut behind the token": ONE[: place_of(FILLER * 4) + 10],
    "another end mark": ONE.replace(END_MARK, b"W7QZ"),
}


@pytest.mark.parametrize("payload", DELIVERED_ALTERED.values(), ids=DELIVERED_ALTERED)
def test_message_with_another_filler_is_altered_and_delivered(payload):
    """Its token is intact, so its latency is exact; equal bytes are never taken for good ones."""
    ledger = subscriber()
    for _ in range(2):
        assert ledger.event(payload, KERNEL_NS) is None
    assert (1, 1, NOTHING | {"altered": 2}) == (
        ledger.delivered_count,
        ledger.duplicated,
        irregular(ledger),
    )


def test_intact_message_is_not_spoilt_by_an_altered_copy_in_another_frame():
    """Whatever came first."""
    ledger = subscriber()
    ledger.event(DELIVERED_ALTERED["filler replaced"], KERNEL_NS)
    assert ledger.event(ONE, KERNEL_NS) is not None
    assert 1 == ledger.altered


def test_message_with_other_times_is_altered_and_not_delivered():
    """A service that adds 4 ms to what it repeats makes the checksum wrong."""
    ledger = subscriber()
    place = place_of(needle_of(RUN)) + 36
    ledger.event(ONE[:place] + b"z" + ONE[place + 1 :], KERNEL_NS)
    assert (0, NOTHING | {"altered": 1}) == (ledger.received_count, irregular(ledger))


def test_second_token_for_one_place_in_a_stream_is_altered():
    """A right checksum is no proof: a publisher gives each place one token."""
    ledger = subscriber()
    ledger.event(ONE, KERNEL_NS)
    ledger.event(WRITER.write(MessageToken(0, 0, 7, 8), 200), KERNEL_NS)
    assert (1, NOTHING | {"altered": 1}) == (ledger.received_count, irregular(ledger))


MALFORMED = {
    "truncated": TEXT[:40],
    "needle alone": needle_of(RUN),
    "other characters": needle_of(RUN) + b"-" * 80,
    "a line break in it": TEXT[:30] + b"\n" + TEXT[30:],
    "an escaped character in it": TEXT[:30] + b"\\u0061" + TEXT[31:],
    "upper case": needle_of(RUN) + TEXT[12:].upper(),
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
def test_piece_of_a_message_is_malformed_and_what_follows_it_counts(payload):
    """Nothing raises, and the good message behind it is delivered."""
    ledger = subscriber()
    assert ledger.event(payload + b" " + TWO, KERNEL_NS) is None
    assert (1, NOTHING | {"malformed": 1}) == (ledger.received_count, irregular(ledger))


FOREIGN = {
    "nothing": b"",
    "JSON of somebody else": b'{"type":"presence"}',
    "another run": written(run_id="other"),
    "prefix alone": needle_of(RUN)[:4],
    "not UTF-8": b"\xff\xfe\0\xc3",
    "deep JSON": b"[" * 10_000,
    "huge": b"q" * 5_000_000,
}


@pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN)
def test_event_without_a_message_of_this_run_is_foreign(payload):
    """Whatever it is, it is one event."""
    ledger = subscriber()
    assert ledger.event(payload, KERNEL_NS) is None
    assert (0, NOTHING | {"foreign": 1}) == (ledger.received_count, irregular(ledger))


@pytest.mark.parametrize(
    ("channels", "stream", "misrouted"),
    [
        ((ROOMS[0],), 0, 0),
        ((ROOMS[0],), 2, 0),
        ((ROOMS[0],), 3, 1),
        (("/default/*",), 3, 0),
        (("/other/*",), 3, 1),
        (ROOMS, 3, 0),
    ],
)
def test_message_of_another_channel_is_misrouted_and_nothing_else(channels, stream, misrouted):
    """The stream is that of a worker and a channel; wildcards stand for theirs."""
    ledger = subscriber(*channels)
    for _ in range(2):
        ledger.event(written(stream=stream), KERNEL_NS)
    assert NOTHING | {"misrouted": 2 * misrouted} == irregular(ledger)
    assert (0 if misrouted else 2) == ledger.received_count
    assert bool(misrouted) == (ledger.last_arrival_ns == ledger.first_arrival_ns == 0)


def test_message_that_is_known_is_misrouted_too():
    """Equal bytes come from the frame cache, of whatever room."""
    tracker = MessageTracker(RUN, channels=ROOMS)
    known = subscriber(ROOMS[1], tracker=tracker).event(written(stream=1), KERNEL_NS)
    stranger = subscriber(ROOMS[0], tracker=tracker)
    stranger.delivered(known, KERNEL_NS)
    assert (0, 1) == (stranger.received_count, stranger.misrouted)


def test_counts_begin_again_with_the_next_connection():
    """They are columns of one connection's row."""
    ledger = subscriber()
    ledger.event(b"noise", KERNEL_NS)
    ledger.begin_again()
    assert NOTHING == irregular(ledger)


def test_examples_are_few_short_and_printable():
    """Control characters are replaced; what is counted further has no example."""
    tracker = MessageTracker(RUN, channels=ROOMS)
    ledger = subscriber(tracker=tracker)
    for number in range(EXAMPLES + 3):
        ledger.event(b"\x1b[31m%d\n\xff" % number + b"a" * 300, KERNEL_NS)
    counts = tracker.take_irregular()
    texts = [text for kind, text in counts if text]
    assert (EXAMPLES, EXAMPLES + 3, 3) == (len(texts), counts.total(), counts["foreign", ""])
    assert all(text.isprintable() and len(text) == EXAMPLE_CHARACTERS for text in texts)
    assert not tracker.take_irregular()


def test_retired_message_is_known_no_longer():
    """A later delivery opens a new entry, whose rows the record adds up."""
    tracker = MessageTracker(RUN, channels=ROOMS)
    ledger = subscriber(tracker=tracker)
    first = ledger.event(ONE, KERNEL_NS)
    tracker.retire(everything=True)
    assert tracker.only_message(ONE) is None
    assert first is not subscriber(tracker=tracker).event(ONE, KERNEL_NS)
