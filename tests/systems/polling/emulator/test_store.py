"""What a cursor gets, in processes that hear of messages in different orders."""

from hypothesis import given
from hypothesis import strategies as st

from harness.systems.polling.emulator import store as emulator_store
from harness.systems.polling.emulator.store import (
    Channel,
    Cursor,
    Message,
    cursor_text,
    news_of,
    parse_cursor,
)

MANY = 10_000


def message(process, number, published_ns=0):
    return Message(process, number, 0, published_ns, f"{process}/{number}".encode())


def bodies(news):
    return [each.body.decode() for each in news.messages]


def filled(*messages, kept=MANY):
    channel = Channel(2, kept)
    for each in messages:
        channel.add(message(*each))
    return channel


def test_cursor_gets_what_came_after_it():
    """In the order in which it came to this process, and where to go on from."""
    news = news_of([filled((0, 1), (1, 1), (0, 2))], (1, 0), MANY)
    assert (["1/1", "0/2"], (2, 1), 0) == (bodies(news), news.cursor, news.expired)


def test_cursor_of_one_process_is_good_in_another():
    """Each heard of the two messages in its own order, and nobody gets one twice or never."""
    here, there = filled((0, 1), (1, 1)), filled((1, 1))
    seen_there = news_of([there], (0, 0), MANY)
    assert ["1/1"] == bodies(seen_there)
    assert ["0/1"] == bodies(news_of([here], seen_there.cursor, MANY))


def test_answer_has_messages_in_the_order_of_their_times():
    """Though this process heard late of what the other was sent first."""
    news = news_of([filled((0, 1, 20), (1, 1, 10), (0, 2, 30))], (0, 0), MANY)
    assert ["1/1", "0/1", "0/2"] == bodies(news)


def test_full_answer_leaves_the_rest_for_the_next():
    """Nothing is skipped between the two."""
    channel = filled((0, 1), (1, 1), (0, 2))
    first = news_of([channel], (0, 0), 2)
    assert ["0/1", "1/1"] == bodies(first)
    assert ["0/2"] == bodies(news_of([channel], first.cursor, 2))


def test_one_cursor_is_good_for_several_channels():
    """What is in any of them comes in one order, and nothing of a third."""
    channels = [filled((0, 1, 10), (0, 4, 40)), filled((0, 2, 20), (1, 1, 25))]
    first = news_of(channels, (0, 0), 3)
    assert ["0/1", "0/2", "1/1"] == bodies(first)
    assert ((2, 1), ["0/4"]) == (first.cursor, bodies(news_of(channels, first.cursor, 3)))
    assert (4, 1) == news_of(channels, first.cursor, 3).cursor
    assert ([], (7, 9)) == (bodies(news_of([], (7, 9), 3)), news_of([], (7, 9), 3).cursor)


def test_what_is_gone_of_one_channel_is_counted_once_though_another_has_more():
    """A full answer stops before what it has not come to; the next one counts the rest."""
    full = filled(*((0, number, number) for number in (1, 3, 5, 6)), kept=1)
    other = filled((0, 2, 2), (0, 4, 4))
    cursor: Cursor = (0, 0)
    expired, got = [], []
    for _ in range(4):
        news = news_of([full, other], cursor, 1)
        cursor = news.cursor
        expired.append(news.expired)
        got += bodies(news)
    assert (["0/2", "0/4", "0/6"], [1, 1, 1, 0]) == (got, expired)


def test_what_had_to_make_room_is_counted_and_not_asked_for_again():
    """Five came, three are kept: two are gone for whoever had seen none."""
    channel = filled(*((0, number) for number in range(1, 6)), kept=3)
    news = news_of([channel], (0, 0), MANY)
    assert (["0/3", "0/4", "0/5"], 2) == (bodies(news), news.expired)
    assert 0 == news_of([channel], news.cursor, MANY).expired
    assert 1 == news_of([channel], (1, 0), MANY).expired


def test_count_of_what_is_gone_is_bounded(monkeypatch):
    """Who is that far behind is told of the last ones only; memory does not grow for ever."""
    monkeypatch.setattr(emulator_store, "MOST_GONE", 3)
    channel = filled(*((0, number) for number in range(1, 102)), kept=1)
    assert 3 <= news_of([channel], (0, 0), MANY).expired < 6
    assert 2 == news_of([channel], (98, 0), MANY).expired


def test_successor_of_a_killed_process_is_not_mistaken_for_a_loss():
    """It numbers on from the time of its start; what lies between never was."""
    news = news_of([filled((0, 1), (0, 5_000_001))], (1, 0), MANY)
    assert (["0/5000001"], 0) == (bodies(news), news.expired)


def test_text_of_a_cursor_is_read_back():
    """And nothing else is."""
    assert (12, 7) == parse_cursor(cursor_text((12, 7)), 2)
    for text in ("12", "12-7-1", "12-", "-1-2", "a-b", "", "1 -2", "\u0663-1"):
        assert parse_cursor(text, 2) is None, text


@given(
    published=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), max_size=30),
    seed=st.randoms(use_true_random=False),
    most=st.integers(1, 5),
)
def test_everybody_gets_everything_once_wherever_they_ask(published, seed, most):
    """However late each process hears of the other, and whichever of them a poll reaches.

    It is for two rooms; the third is nobody's.
    """
    processes, waiting, sent = (
        [[Channel(2, MANY) for _ in range(3)] for _ in range(2)],
        [[], []],
        [],
    )
    numbers, got = [0, 0], []
    cursor: Cursor = (0, 0)

    def poll():
        nonlocal cursor
        news = news_of(seed.choice(processes)[:2], cursor, most)
        cursor = news.cursor
        got.extend(bodies(news))

    for process, room in published:
        numbers[process] += 1
        each = message(process, numbers[process], published_ns=sum(numbers))
        if room < 2:
            sent.append(each.body.decode())
        processes[process][room].add(each)
        waiting[1 - process].append((room, each))
        for place in (0, 1):
            while waiting[place] and seed.random() < 0.4:
                where, known = waiting[place].pop(0)
                processes[place][where].add(known)
        if seed.random() < 0.5:
            poll()
    for place in (0, 1):
        for room, each in waiting[place]:
            processes[place][room].add(each)
    for _ in range(len(sent) + 1):
        poll()
    assert sorted(sent) == sorted(got)
