"""Answers to polls that are remembered."""

from harness.systems.polling.client import answers
from harness.systems.polling.client.answers import Answer, KnownAnswers
from harness.systems.polling.wire import Place


def test_remembered_answers_are_bounded_by_the_bytes_they_expand_to(monkeypatch):
    """A small compressed response may hold megabytes; the newest answers are kept."""
    monkeypatch.setattr(answers, "MOST_KNOWN_BYTES", 10_000)
    known = KnownAnswers(None)
    for place in range(100):
        known.remember(b"%d" % place, Answer(200, Place(), (bytes(3000),)))
    kept = [place for place in range(100) if known.get(b"%d" % place)]
    assert kept
    assert len(kept) <= 3
    assert kept[-1] == 99


def test_answers_without_events_are_bounded_by_their_number(monkeypatch):
    """They are small."""
    monkeypatch.setattr(answers, "MOST_KNOWN", 10)
    known = KnownAnswers(None)
    for place in range(100):
        known.remember(b"%d" % place, Answer(304, Place()))
    assert sum(known.get(b"%d" % place) is not None for place in range(100)) <= 10
