import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.streams import StreamReader

from harness.emulation.websocket_frames import close_frame, text_frame


def parse(data):
    """Read one unmasked frame with the ``websockets`` library; nothing may be left over."""
    reader = StreamReader()
    reader.feed_data(data)
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as done:
        next(parsing)
    reader.feed_eof()
    assert b"" == reader.buffer
    return done.value.value


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_text_frame_of_any_length_is_read_by_another_library(length):
    """Each of the three forms of the length is right, to the byte."""
    payload = b"x" * length
    assert Frame(Opcode.TEXT, payload) == parse(text_frame(payload))


def test_close_frame_carries_its_code():
    """The code is a big-endian number and the reason is empty."""
    assert Close(1000, "") == Close.parse(parse(close_frame()).data)
    assert Close(1001, "") == Close.parse(parse(close_frame(1001)).data)
