"""WebSocket frames that no server should send, to see what clients make of them.

Forms that are sound WebSocket are wrong only for protocols whose messages are JSON objects with a
``type``.
"""

from harness.emulation.websocket_frames import FINAL_BINARY, FINAL_TEXT, frame, text_frame

RESERVED_BITS = 0x70
"""Must be zero unless an extension was negotiated. Source: RFC 6455, 5.2."""

MALFORMED_FRAMES = {
    "not_json": text_frame(b'{"type":"data"'),
    "not_a_message": text_frame(b"[]"),
    "unknown_type": text_frame(b'{"type":"no such type"}'),
    "binary": frame(FINAL_BINARY, b'{"type":"data"}'),
    "bad_utf8": text_frame(b"\xff"),
    "reserved_bits": frame(FINAL_TEXT | RESERVED_BITS, b"{}"),
}
"""A frame of each form that the fault ``malformed`` knows."""
