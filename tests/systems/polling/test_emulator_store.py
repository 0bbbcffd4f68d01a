"""What a cursor gets, in processes that hear of messages in different orders."""

from hypothesis import given
from hypothesis import strategies as st

from harness.systems.polling.emulator_store import (
    Channel,
    Message,
    cursor_text,
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
    news = filled((0, 1), (1, 1), (0, 2)).after((1, 0), MANY)
    assert (["1/1", "0/2"], (2, 1), 0) == (bodies(news), news.cursor, news.expired)


def test_cursor_of_one_process_is_good_in_another():
    """Each heard of the two messages in its own order, and nobody gets one twice or never."""
    here, there = filled((0, 1), (1, 1)), filled((1, 1))
    seen_there = there.after((0, 0), MANY)
    assert ["1/1"] == bodies(seen_there)
    assert ["0/1"] == bodies(here.after(seen_there.cursor, MANY))


def test_answer_has_messages_in_the_order_of_their_times():
    """Though this process heard late of what the other was sent first."""
    news = filled((0, 1, 20), (1, 1, 10), (0, 2, 30)).after((0, 0), MANY)
    assert ["1/1", "0/1", "0/2"] == bodies(news)


def test_full_answer_leaves_the_rest_for_the_next():
    """Nothing is skipped between the two."""
    channel = filled((0, 1), (1, 1), (0, 2))
    first = channel.after((0, 0), 2)
    assert ["0/1", "1/1"] == bodies(first)
    assert ["0/2"] == bodies(channel.after(first.cursor, 2))


def test_what_had_to_make_room_is_counted_and_not_asked_for_again():
    """Five came, three are kept: two are gone for whoever had seen none."""
    channel = filled(*((0, number) for number in range(1, 6)), kept=3)
    news = channel.after((0, 0), MANY)
    assert (["0/3", "0/4", "0/5"], 2) == (bodies(news), news.expired)
    assert 0 == channel.after(news.cursor, MANY).expired
    assert 1 == channel.after((1, 0), MANY).expired


def test_successor_of_a_killed_process_is_not_mistaken_for_a_loss():
    """It numbers on from the time of its start; what lies between never was."""
    channel = filled((0, 1), (0, 5_000_001))
    news = channel.after((1, 0), MANY)
    assert (["0/5000001"], 0) == (bodies(news), news.expired)


def test_text_of_a_cursor_is_read_back():
    """And nothing else is."""
    assert (12, 7) == parse_cursor(cursor_text((12, 7)), 2)
    for text in ("12", "12-7-1", "12-", "-1-2", "a-b", "", "1 -2", "\u0663-1"):
        assert parse_cursor(text, 2) is None, text


@given(
    published=st.lists(st.integers(0, 1), max_size=30),
    seed=st.randoms(use_true_random=False),
    most=st.integers(1, 5),
)
def test_everybody_gets_everything_once_wherever_they_ask(published, seed, most):
    """However late each process hears of the other, and whichever one a poll reaches."""
    channels, waiting, sent = [Channel(2, MANY), Channel(2, MANY)], [[], []], []
    numbers, cursor, got = [0, 0], (0, 0), []

    def poll():
        nonlocal cursor
        news = seed.choice(channels).after(cursor, most)
        cursor = news.cursor
        got.extend(bodies(news))

    for process in published:
        numbers[process] += 1
        each = message(process, numbers[process])
        sent.append(each.body.decode())
        channels[process].add(each)
        waiting[1 - process].append(each)
        for place in (0, 1):
            while waiting[place] and seed.random() < 0.4:
                channels[place].add(waiting[place].pop(0))
        if seed.random() < 0.5:
            poll()
    for place in (0, 1):
        for each in waiting[place]:
            channels[place].add(each)
    for _ in range(len(sent) + 1):
        poll()
    assert sorted(sent) == sorted(got)
