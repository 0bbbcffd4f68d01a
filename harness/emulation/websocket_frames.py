"""WebSocket frames as a server sends them: whole, unmasked, uncompressed (RFC 6455, 5.2).

Built here and not by the HTTP library, so that one frame serves every subscriber.
"""

import struct

FINAL_TEXT = 0x81
FIRST_TEXT = 0x01
CONTINUED = 0x00
FINAL_CONTINUED = 0x80
FINAL_BINARY = 0x82
FINAL_CLOSE = 0x88
LENGTH_16_BIT = 126
LENGTH_64_BIT = 127
MAX_16_BIT = 0xFFFF

NORMAL_CLOSURE = 1000

RESERVED_BITS = 0x70
"""Must be zero unless an extension was negotiated. Source: RFC 6455, 5.2."""


def text_frame(payload: bytes) -> bytes:
    """Return a text message as one frame; the payload must be UTF-8."""
    return frame(FINAL_TEXT, payload)


def text_frames(payload: bytes, limit_bytes: int) -> bytes:
    """Return a text message as frames whose payloads have so many bytes at most."""
    if len(payload) <= limit_bytes:
        return text_frame(payload)
    pieces = [payload[at : at + limit_bytes] for at in range(0, len(payload), limit_bytes)]
    first, *middle, last = pieces
    whole = [frame(FIRST_TEXT, first), *(frame(CONTINUED, piece) for piece in middle)]
    return b"".join([*whole, frame(FINAL_CONTINUED, last)])


def frame(first_byte: int, payload: bytes) -> bytes:
    """Return a payload behind the header of a frame; the first byte holds flags and opcode."""
    return _header(first_byte, len(payload)) + payload


def close_frame(code: int = NORMAL_CLOSURE) -> bytes:
    """Return a close frame with a status code and no reason."""
    return frame(FINAL_CLOSE, struct.pack("!H", code))


def _header(first_byte: int, length: int) -> bytes:
    if length < LENGTH_16_BIT:
        return struct.pack("!BB", first_byte, length)
    if length <= MAX_16_BIT:
        return struct.pack("!BBH", first_byte, LENGTH_16_BIT, length)
    return struct.pack("!BBQ", first_byte, LENGTH_64_BIT, length)


MALFORMED_FRAMES = {
    "not_json": text_frame(b'{"type":"data"'),
    "not_a_message": text_frame(b"[]"),
    "unknown_type": text_frame(b'{"type":"no such type"}'),
    "binary": frame(FINAL_BINARY, b'{"type":"data"}'),
    "bad_utf8": text_frame(b"\xff"),
    "reserved_bits": frame(FINAL_TEXT | RESERVED_BITS, b"{}"),
}
"""A frame of each form that the fault ``malformed`` knows, which no server should send.

Forms that are sound WebSocket are wrong only for protocols whose messages are JSON objects with a
``type``.
"""
