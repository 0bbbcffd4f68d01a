import numpy as np
import pytest

from harness.analysis.run.finalize import analyse
from harness.analysis.run.waits import first_message_waits_s
from tests.support.records import at, connection, publish, second, write_record

OTHER_ROOM = "/default/room-1"


def waits(folder, connections, publishes=(4.0, 5.0)):
    """Return the waits of a run's users by number, in seconds; messages are in the first room."""
    sent = [publish(index, sent_s) for index, sent_s in enumerate(publishes)]
    write_record(folder, timeline=[second(5)], publishes=sent, connections=connections)
    record = analyse(folder).record
    found = first_message_waits_s(record.connections, record.messages)
    numbers = found.index.get_level_values("user")
    return {n: pytest.approx(wait, abs=1e-6) for n, wait in zip(numbers, found, strict=True)}


def test_failed_attempts_are_part_of_the_wait(tmp_path):
    """First try at 0 s, a message at 4 s that it could have had, its first one at 131 s."""
    tries = [
        connection(0, None, join_start_ns=at(0.0)),
        connection(0, 130.0, 140.0, connection=1, delivered=1, last_s=131.0),
    ]
    assert {0: 127.0} == waits(tmp_path / "run", tries)


def test_quiet_before_the_first_message_is_no_wait(tmp_path):
    """In since 1 s, the first message is published at 4 s and comes 50 ms later."""
    assert {0: 0.05} == waits(tmp_path / "run", [connection(0, 1.0, delivered=1, last_s=4.05)])


def test_who_never_got_a_message_waited_until_the_end(tmp_path):
    """User 1 knocks from 0 s on; the last thing the record knows of is at 12 s."""
    users = [connection(0, 1.0, delivered=1, last_s=4.5), connection(1, None, 12.0)]
    assert {0: 0.5, 1: 8.0} == waits(tmp_path / "run", users)


def test_users_to_whom_nothing_was_published_are_not_counted(tmp_path):
    """One only publishes, one is in another room, one came after the last message."""
    users = [
        connection(0, 1.0, channel=None),
        connection(1, 1.0, channel=OTHER_ROOM),
        connection(2, 6.0),
        connection(3, 1.0, channel=f"{OTHER_ROOM} /default/room-0", delivered=1, last_s=4.25),
        connection(4, 1.0, channel="/default/*", delivered=1, last_s=4.25),
    ]
    assert {3: 0.25, 4: 0.25} == waits(tmp_path / "run", users)


def test_record_that_does_not_say_when_something_came_first_counts_nobody(tmp_path):
    """It was delivered two messages, so it did not wait to the end."""
    users = [connection(0, 1.0, delivered=2, last_s=5.5, first_arrival_ns=None)]
    assert {} == waits(tmp_path / "run", users)
    assert analyse(tmp_path / "run").summary["first_message_s"]["max"] is None


def test_summary_and_story_say_how_many_waited_long(tmp_path):
    """One of four waited 20 s, one 127 s; shares are of all that could have heard something."""
    users = [
        connection(number, 1.0, 140.0, delivered=1, last_s=end_s)
        for number, end_s in enumerate((4.5, 5.0, 24.0, 131.0))
    ]
    waits(tmp_path / "run", users)
    found = analyse(tmp_path / "run").summary["first_message_s"]
    assert [0.5, 0.5, 0.25, 0.25] == [found[f"over_{n}s_ratio"] for n in (1, 10, 60, 120)]
    assert np.isclose(127.0, found["max"], rtol=0.001)
