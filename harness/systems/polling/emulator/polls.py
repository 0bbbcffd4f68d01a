"""What a poll is answered with, and what faults make of that."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from harness.emulation.connection_writer import Batch, Connection
from harness.emulation.counters import OWED
from harness.emulation.fault_choices import DeliveryOutcome
from harness.systems.polling import wire
from harness.systems.polling.emulator.service import EXPIRED, Service
from harness.systems.polling.emulator.store import (
    Message,
    News,
    cursor_text,
    news_of,
    parse_cursor,
)

MOST_KNOWN = 10_000
"""Answers kept ready until the next message."""

MALFORMED_BODIES = {
    "not_json": b"{",
    "not_a_message": b'{"hello":1}',
    "unknown_type": b'{"messages":"none"}',
    "binary": b"\x00\x01\x02\x03",
    "bad_utf8": b'{"messages":["\xff"]}',
    "reserved_bits": b"",
}
"""What an answer holds that a fault spoils, by the fault's form."""


@dataclass(slots=True, eq=False)
class Poll:
    """One request of a client that polls; clients at the same place share it.

    Attributes:
        channels: Without a slash at their start; wildcards may be among them.
        after: The cursor as it was given; empty for none.
        etag: What If-None-Match says; empty for nothing.
        closes: Whether the connection ends with the answer.
    """

    channels: Sequence[str]
    after: str
    etag: str
    closes: bool


class _Answer(NamedTuple):
    """An answer that is ready: what it says, its bytes, and what it counts as."""

    news: News
    response: bytes
    counted_as: str


class Polls:
    """Answers the polls of one process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ready: dict[Poll, _Answer] = {}
        self._edition = -1

    def answer(self, poll: Poll, connection: Connection) -> None:
        """Answer a poll, now or when faults let it."""
        service = self._service
        if service.faults.on_credentials():
            service.counters.add("polls.refused.unauthorized")
            connection.reply(response(HTTPStatus.UNAUTHORIZED, b'{"message":"Unauthorized"}'))
            return
        if service.quota is not None and not service.quota.take():
            service.counters.add("polls.throttled.quota")
            connection.reply(too_many(service.options.retry_after_s))
            return
        if service.edition != self._edition or len(self._ready) > MOST_KNOWN:
            self._edition = service.edition
            self._ready.clear()
        ready = self._ready.get(poll)
        if ready is None:
            ready = self._ready[poll] = self._prepare(poll)
        news, text, counted_as = ready
        service.counters.add(counted_as)
        if news.expired:
            service.counters.add(OWED, news.expired)
            service.counters.add(EXPIRED, news.expired)
        if not news.messages:
            connection.reply(text)
            return
        size = len(news.messages)
        if service.faults.may_hit([message.event for message in news.messages], size):
            self._answer_with_faults(news, connection)
            return
        service.counters.add(OWED, size)
        connection.deliver(Batch(text, deliveries=size))

    def _prepare(self, poll: Poll) -> _Answer:
        service = self._service
        channels, newest = service.channels_of(poll.channels)
        cursor = parse_cursor(poll.after, service.processes) if poll.after else newest
        if cursor is None:
            nothing = News((), newest, 0)
            body = b'{"message":"The cursor is none of this service."}'
            text = response(HTTPStatus.BAD_REQUEST, body)
            return _Answer(nothing, text, "polls.refused.bad_request")
        news = news_of(channels, cursor, service.options.answer_messages)
        if poll.etag == _etag(news) and not news.messages:
            return _Answer(news, _not_modified(news), "polls.not_modified")
        return _Answer(news, self._page(news, news.messages), "polls.answered")

    def _page(self, news: News, messages: Sequence[Message]) -> bytes:
        body = wire.encode_page(
            [message.body for message in messages],
            cursor_text(news.cursor),
            self._service.options.poll_after_s,
        )
        return response(HTTPStatus.OK, body, f"ETag: {_etag(news)}", "Cache-Control: no-cache")

    def _answer_with_faults(self, news: News, connection: Connection) -> None:
        """Do with each message what faults want; a spoilt or late one takes the others along."""
        service = self._service
        outcomes = [
            service.faults.on_delivery(message.event, connection.number, connection)
            for message in news.messages
        ]
        forms = [form for outcome in outcomes for form in outcome.malformed]
        if forms:  # What it held is requested again.
            self._log("malformed", connection, news.messages[0], form=forms[0])
            text = response(HTTPStatus.OK, MALFORMED_BODIES[forms[0]])
            connection.deliver(Batch(text, malformed=1))
            return
        service.counters.add(OWED, len(outcomes))
        messages, copies = self._changed(news.messages, outcomes, connection)
        owed = sum(not outcome.dropped for outcome in outcomes)
        batch = Batch(self._page(news, messages), deliveries=owed, copies=copies)
        delay_s = max(outcome.delay_s for outcome in outcomes)
        if not delay_s:
            connection.deliver(batch)
            return
        service.writer.count_pending(owed)
        service.counters.add("deliveries.delayed.fault", owed)
        now_s = time.monotonic()
        service.scheduler.at(now_s + delay_s, partial(self._send_late, connection, batch, now_s))

    def _send_late(self, connection: Connection, batch: Batch, began_s: float) -> None:
        self._service.writer.count_pending(-batch.deliveries)
        late_us = max(1, round((time.monotonic() - began_s) * 1e6))
        for _ in range(batch.deliveries):
            self._service.deliveries.delays.record_value(late_us)
        connection.deliver(batch)

    def _changed(
        self,
        messages: Sequence[Message],
        outcomes: Sequence[DeliveryOutcome],
        connection: Connection,
    ) -> tuple[list[Message], int]:
        """Return the messages of an answer as faults leave them, and the copies among them.

        A message lets pass as many as there are behind it in its answer, and no more.
        """
        places: list[tuple[float, Message]] = []
        copies = 0
        for place, (message, outcome) in enumerate(zip(messages, outcomes, strict=True)):
            if outcome.dropped:
                self._service.counters.add("deliveries.dropped.fault")
                self._log("dropped", connection, message, cause="fault")
                continue
            passing = min(outcome.depth, len(messages) - 1 - place)
            if passing:
                self._service.counters.add("deliveries.reordered")
                self._log("reordered", connection, message, depth=passing)
            copies += outcome.copies
            for _ in range(outcome.copies):
                self._log("duplicated", connection, message)
            # Behind those that pass it, and before the one that follows them.
            places += [(place + (passing + 0.5 if passing else 0.0), message)] * (
                1 + outcome.copies
            )
        places.sort(key=lambda entry: entry[0])
        return [message for _, message in places], copies

    def _log(self, what: str, connection: Connection, message: Message, **more: object) -> None:
        number, text = connection.number, message.body.decode("utf-8", "replace")
        log = self._service.faults.log
        log.add_delivery(what, message.event, number, connection, text, **more)


def response(status: int, body: bytes, *headers: str) -> bytes:
    """Return a whole response with a JSON body."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def too_many(retry_after_s: int) -> bytes:
    """Return the answer above the quota."""
    body = b'{"message":"Too Many Requests"}'
    return response(HTTPStatus.TOO_MANY_REQUESTS, body, f"Retry-After: {retry_after_s}")


def _not_modified(news: News) -> bytes:
    return f"HTTP/1.1 304 Not Modified\r\nETag: {_etag(news)}\r\n\r\n".encode()


def _etag(news: News) -> str:
    return f'"{cursor_text(news.cursor)}"'
