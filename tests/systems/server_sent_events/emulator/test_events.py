"""The order of all events: numbers, readers in several places, one file after the other."""

import contextlib

from harness.systems.server_sent_events.emulator.events import Event, EventLog, History


def opened(stack, folder, **more):
    log = EventLog(folder, **more)
    stack.callback(log.close)
    return log


def test_every_reader_sees_the_same_order_across_files(tmp_path):
    """Two write in turn, into many short files; each sees all of it, once, in order of number."""
    with contextlib.ExitStack() as stack:
        logs = [opened(stack, tmp_path, segment_bytes=100) for _ in range(2)]
        heard = [[], []]
        numbers = []
        for place in range(40):
            numbers.append(logs[place % 2].append("a/ü", b"x" * place))
            for log, events in zip(logs, heard, strict=True):
                events.extend((e.number, e.channel, len(e.data)) for e in log.read())
        assert list(range(1, 41)) == numbers
        assert [[(n + 1, "a/ü", n) for n in range(40)]] * 2 == heard
        assert len(list(tmp_path.glob("events-[0-9]*"))) <= 3


def test_latecomer_finds_the_latest_events(tmp_path):
    """Who opens the log later, as a killed process's successor does, reads what is kept."""
    with contextlib.ExitStack() as stack:
        first = opened(stack, tmp_path, segment_bytes=100)
        for place in range(40):
            first.append("a", b"%d" % place)
        late = opened(stack, tmp_path, segment_bytes=100)
        kept = [event.number for event in late.read()]
        assert kept == list(range(kept[0], 41))
        assert kept
        first.append("a", b"next")
        assert [41] == [event.number for event in late.read()]


def test_event_that_a_killed_process_left_half_written_is_written_over(tmp_path):
    """What was not counted was never there."""
    with contextlib.ExitStack() as stack:
        log = opened(stack, tmp_path)
        log.append("a", b"0")
        with (tmp_path / "events-0").open("ab") as file:
            file.write(b"\x02" + bytes(20))
        assert [b"0"] == [event.data for event in log.read()]
        log.append("a", b"1")
        assert [b"1"] == [event.data for event in log.read()]


def test_history_keeps_the_last_ones():
    """Of four events the last three, and of these those after the one that was seen."""
    history = History(3, age_s=1e9)
    for number in range(1, 5):
        history.add(Event(number, 0, "a", b""))
    assert [[2, 3, 4], [4], []] == [
        [event.number for event in history.after(seen)] for seen in (0, 3, 4)
    ]
