from typing import Any

import pytest

from benchmarks.senders import FRAME_BYTES, NAMESPACES, Nchan, NchanFrames, NchanStreams, event_of
from harness.measure.message_tracker import MessageTracker
from harness.scenario.loading import load_scenario
from harness.scenario.target import Target


class Recording(Nchan):
    """nchan that only notes what it is to publish."""

    def __init__(self) -> None:
        self.host, self.port = "127.0.0.1", 9
        self.published: list[tuple[str, bytes]] = []

    def publish(self, channel: str, body: bytes) -> None:
        self.published.append((channel, body))


def target_of(system: NchanStreams, folder: Any) -> Target:
    file = folder / "target.toml"
    file.write_text(system.target(NAMESPACES[0]), encoding="utf-8")
    target = load_scenario(file)
    assert isinstance(target, Target)
    return target


@pytest.mark.parametrize("kind", [NchanStreams, NchanFrames])
def test_target_on_nchan_is_one_that_the_harness_takes(kind, tmp_path):
    """Of a system that runs elsewhere."""
    assert not target_of(kind(Recording()), tmp_path).emulated


def test_frames_are_those_of_the_floor_to_the_byte():
    """Both sides of the ratio read the same 300 bytes."""
    nchan, event = Recording(), event_of("run", 1)
    nchan.send("room", event)
    NchanFrames(nchan).send("/first/room-0", event)
    (_, floors), (channel, ours) = nchan.published
    assert floors == ours
    assert ("first/room-0", FRAME_BYTES) == (channel, len(ours))


def test_message_is_found_in_the_frame():
    """Else nothing would be counted."""
    nchan = Recording()
    frames, event = NchanFrames(nchan), event_of("run", 7)
    frames.send("/first/room-0", event)
    found = MessageTracker("run").search(nchan.published[0][1])
    assert [7] == [message.sequence for message in found.messages]
