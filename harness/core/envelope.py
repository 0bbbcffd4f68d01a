"""The envelope: the small JSON object that every published message is.

It carries what a subscriber needs to judge a delivery on its own: which run, which stream,
which place in the stream, when the message should have been sent and when it was.
Keys are one letter long because the envelope travels once per delivery.
"""

from typing import NamedTuple

import orjson

FILLER = "x"


class Envelope(NamedTuple):
    """One published message, as publisher and subscriber both see it.

    Attributes:
        run_id: The run it belongs to; other runs on the same channel are ignored.
        stream: Number of the stream; there is one per worker and channel.
        sequence: Place in the stream, counted from 0 without gaps.
        intended_ns: Run clock at which the schedule wanted it sent.
        sent_ns: Run clock at which it was handed to the socket.
    """

    run_id: str
    stream: int
    sequence: int
    intended_ns: int
    sent_ns: int

    def to_json(self, size_bytes: int = 0) -> bytes:
        """Encode as JSON, padded with filler text to ``size_bytes`` where that is larger."""
        body = {
            "r": self.run_id,
            "s": self.stream,
            "q": self.sequence,
            "i": self.intended_ns,
            "t": self.sent_ns,
            "f": "",
        }
        text = orjson.dumps(body)
        missing = size_bytes - len(text)
        if missing <= 0:
            return text
        return text[:-2] + FILLER.encode() * missing + b'"}'


def parse_envelope(event: str | bytes) -> Envelope | None:
    """Decode an event's JSON; None where it is not one of our envelopes."""
    try:
        body = orjson.loads(event)
        return Envelope(body["r"], body["s"], body["q"], body["i"], body["t"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
