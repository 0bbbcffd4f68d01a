"""The standard broadcast: a function reads the connection table and posts to each connection.

Nothing here knows how long a broadcast takes. It comes from the calls: each of W functions has K
of them under way, each call takes its time and needs a token of the account's throttle. Decided
where no source says: a call reaches the connection at its end, and the functions are not slowed
down by this machine, so what is late because of it is caught up with.

Source: github.com/aws-samples/simple-websockets-chat-app, read November 2026; attempts and waits
are those of the AWS SDK for JavaScript, whose limit on retries of all calls together is left out.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus

from harness.emulation.counters import OWED, PENDING
from harness.emulation.fault_choices import draw_delay_s
from harness.systems.api_gateway_websocket.emulator.management import Reply
from harness.systems.api_gateway_websocket.emulator.service import Service
from harness.systems.api_gateway_websocket.emulator.table import Row

CLOSED = "deliveries.dropped.closed"
THROTTLED = "deliveries.dropped.throttled"
TIMED_OUT = "deliveries.dropped.function_timeout"
REFUSED = "deliveries.dropped.function_throttled"

Ended = Callable[[int | None], None]


def start_broadcast(service: Service, channel: str, data: bytes, ended: Ended) -> bool:
    """Start the function that broadcasts a message; return False where too many run.

    ``ended`` is called when it ends, with how many it reached; with None where it took too long.
    """
    return service.functions.invoke(partial(_read, service, channel, data, ended))


def _read(service: Service, channel: str, data: bytes, ended: Ended, began_s: float) -> None:
    """Read the table; what it holds at the beginning is what all pages give."""
    options = service.options.broadcast
    service.counters.add("broadcasts.started")
    rows = service.table.read(channel, options.page_rows if options.first_page_only else -1)
    pages = max(1, -(-len(rows) // options.page_rows))
    owed = _owed(rows)
    service.counters.add(OWED, owed)
    service.counters.add(PENDING, owed)
    read_s = began_s + pages * options.page_ms / 1000
    message = _Message(service, data, ended, began_s)
    service.scheduler.at(read_s, lambda: message.share_out(rows, read_s))


class _Message:
    """One message on its way through all functions that post it."""

    def __init__(self, service: Service, data: bytes, ended: Ended, began_s: float) -> None:
        self.service = service
        self.options = service.options.broadcast
        self.data = data
        self.number = service.management.number_event()
        self._ended = ended
        self._began_s = began_s
        self._posting = 0
        self._reached = 0
        self._timed_out = False

    def share_out(self, rows: Sequence[Row], now_s: float) -> None:
        """Post from this function, or from as many others as share the work."""
        functions, workers = self.service.functions, self.options.workers
        shares = [rows[first::workers] for first in range(workers)]
        self._posting = workers
        if workers == 1:
            self._post(shares[0], self._began_s, now_s)
            return
        functions.ended()
        for share in shares:
            if not functions.invoke(partial(self._begin, share), now_s):
                self._give_up(share)

    def _begin(self, share: Sequence[Row], began_s: float) -> None:
        self._post(share, began_s, began_s)

    def _post(self, share: Sequence[Row], began_s: float, now_s: float) -> None:
        posting = _Posting(self, share)
        limit_s = began_s + self.options.function_timeout_s
        self.service.scheduler.at(limit_s, posting.time_out)
        posting.proceed(now_s)

    def _give_up(self, share: Sequence[Row]) -> None:
        lost = _owed(share)
        self.service.counters.add(PENDING, -lost)
        self.service.counters.add(REFUSED, lost)
        self._one_less()

    def posted(self, reached: int, *, timed_out: bool) -> None:
        """Handle the end of a function."""
        self.service.functions.ended()
        self._reached += reached
        self._timed_out |= timed_out
        self._one_less()

    def _one_less(self) -> None:
        self._posting -= 1
        if not self._posting:
            kind = "timed_out" if self._timed_out else "ended"
            self.service.counters.add(f"broadcasts.{kind}")
            self._ended(None if self._timed_out else self._reached)


class _Posting:
    """One function's way through its rows, with so many calls under way at a time."""

    def __init__(self, message: _Message, rows: Sequence[Row]) -> None:
        self._message = message
        self._service = message.service
        self._options = message.options
        self._waiting = deque((row, 1) for row in rows)
        self._open: dict[str, Row] = {row.connection: row for row in rows}
        self._free = self._options.sockets
        self._reached = 0
        self._is_over = False

    def proceed(self, now_s: float) -> None:
        """Make as many calls as there are sockets free."""
        service = self._service
        while self._free and self._waiting:
            row, attempt = self._waiting.popleft()
            self._free -= 1
            due_s = now_s + draw_delay_s(self._options.post_ms, service.rng)
            service.scheduler.at(due_s, partial(self._call, row, attempt, due_s))
        if not self._open:
            self._end(timed_out=False)

    def _call(self, row: Row, attempt: int, due_s: float) -> None:
        if self._is_over:
            return
        service, message = self._service, self._message
        service.counters.add("posts.attempted")
        answered = partial(self._answered, row, attempt, due_s)
        if service.admission.request():
            call = service.management.call
            call("POST", row.connection, answered, message.data, message.number)
        else:
            answered(Reply(HTTPStatus.TOO_MANY_REQUESTS))

    def _answered(self, row: Row, attempt: int, due_s: float, reply: Reply) -> None:
        service, status = self._service, reply.status
        if self._is_over:
            self._came_too_late(row, status)
            return
        self._free += 1
        if status == HTTPStatus.OK:
            self._reached += 1
            # What was posted is counted where its connection is.
            self._settle(row, OWED, -1)
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            service.counters.add("posts.throttled")
            self._throttled(row, attempt, due_s)
        else:
            service.counters.add("posts.gone")
            service.table.forget(row.connection)
            self._settle(row, CLOSED, 1)
        self.proceed(due_s)

    def _throttled(self, row: Row, attempt: int, due_s: float) -> None:
        """Try again later without holding a socket, unless it was the last attempt."""
        service = self._service
        if attempt == self._options.attempts:
            self._settle(row, THROTTLED, 1)
            return
        # Doubling stops long before it leaves the range of numbers.
        doubled_ms = self._options.backoff_ms * 2 ** min(attempt - 1, 32)
        most_ms = min(self._options.backoff_most_ms, doubled_ms)
        again_s = due_s + service.rng.uniform(0.0, most_ms / 1000)
        service.scheduler.at(again_s, partial(self._try_again, row, attempt + 1, again_s))

    def _try_again(self, row: Row, attempt: int, now_s: float) -> None:
        if not self._is_over:
            self._waiting.append((row, attempt))
            self.proceed(now_s)

    def _settle(self, row: Row, count: str, amount: int) -> None:
        del self._open[row.connection]
        if not row.has_left:
            self._service.counters.add(PENDING, -1)
            self._service.counters.add(count, amount)

    def _came_too_late(self, row: Row, status: int) -> None:
        """Correct the counts: this call was given up and reached its connection all the same."""
        if status == HTTPStatus.OK and not row.has_left:
            self._service.counters.add(TIMED_OUT, -1)
            self._service.counters.add(OWED, -1)

    def time_out(self) -> None:
        """End the function, even where it has not reached all."""
        if self._is_over:
            return
        lost = _owed(self._open.values())
        self._service.counters.add(PENDING, -lost)
        self._service.counters.add(TIMED_OUT, lost)
        self._open.clear()
        self._waiting.clear()
        self._end(timed_out=True)

    def _end(self, *, timed_out: bool) -> None:
        if not self._is_over:
            self._is_over = True
            self._message.posted(self._reached, timed_out=timed_out)


def _owed(rows: Iterable[Row]) -> int:
    """Return how many of these rows stand for an open connection."""
    return sum(not row.has_left for row in rows)
