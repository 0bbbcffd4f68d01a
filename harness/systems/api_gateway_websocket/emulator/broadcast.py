"""The standard broadcast: a function reads the connection table and posts to each connection.

Nothing here knows how long a broadcast takes. It comes from the calls: each of W functions has K
of them under way, each call takes its time and needs a token of the account's throttle. Decided
where no source says: a call reaches the connection at its end, and the functions are not slowed
down by this machine, so what is late because of it is caught up with.

Source: github.com/aws-samples/simple-websockets-chat-app, read November 2026; attempts and waits
are those of the AWS SDK for JavaScript, whose limit on retries of all calls together is left out.
"""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus

from harness.emulation.counters import OWED, PENDING, Counters
from harness.emulation.fault_choices import draw_delay_s
from harness.emulation.scheduler import Scheduler
from harness.systems.api_gateway_websocket.emulator.admission import Admission
from harness.systems.api_gateway_websocket.emulator.management import Management, Reply
from harness.systems.api_gateway_websocket.emulator.table import ConnectionTable, Row
from harness.systems.api_gateway_websocket.options import Broadcast

STARTED, COLD, REFUSED = "functions.started", "functions.cold_starts", "functions.throttled"
FUNCTION_COUNTS = (STARTED, COLD, REFUSED)

_MS = 1 / 1000


class Functions:
    """The functions of one process, as Lambda runs them: when they begin, and how many at a time.

    Source: docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency, read November 2026.

    Args:
        options: How long they take to begin, and how many there may be.
        scheduler: When they begin.
        counters: Has ``FUNCTION_COUNTS`` among its columns.
    """

    def __init__(self, options: Broadcast, scheduler: Scheduler, counters: Counters) -> None:
        self._options = options
        self._scheduler = scheduler
        self._counters = counters
        self._running = 0
        self._environments = 0

    def invoke(self, run: Callable[[float], None], at_s: float | None = None) -> bool:
        """Start a function; ``ended`` must be called when it has run.

        Args:
            run: Called when its first line would run, with that time on ``time.monotonic``.
            at_s: When it is asked for; now, left out.

        Returns:
            Whether it starts; False where as many run as may.
        """
        if self._running >= self._options.concurrency:
            self._counters.add(REFUSED)
            return False
        begins_s = (time.monotonic() if at_s is None else at_s) + self._options.invoke_ms * _MS
        self._running += 1
        self._counters.add(STARTED)
        if self._running > self._environments:
            self._environments = self._running
            self._counters.add(COLD)
            begins_s += self._options.cold_start_ms * _MS
        self._scheduler.at(begins_s, lambda: run(begins_s))
        return True

    def ended(self) -> None:
        """Let another one take this one's environment."""
        self._running -= 1

    def call(self, act: Callable[[], None]) -> bool:
        """Start a function that does one quick thing and ends."""

        def run(_began_s: float) -> None:
            self.ended()
            act()

        return self.invoke(run)


CLOSED = "deliveries.dropped.closed"
THROTTLED = "deliveries.dropped.throttled"
TIMED_OUT = "deliveries.dropped.function_timeout"
REFUSED = "deliveries.dropped.function_throttled"
BROADCAST_COUNTS = (
    THROTTLED,  # every attempt was answered 429
    TIMED_OUT,  # the function was ended before it could post
    REFUSED,  # no function could be started for them
    "posts.attempted",  # calls that broadcasts made
    "posts.throttled",  # of these, answered 429
    "posts.gone",  # of these, answered 410: the row was stale and is deleted
    "broadcasts.started",
    "broadcasts.ended",
    "broadcasts.timed_out",
)

_MS = 1 / 1000


class Broadcaster:
    """Starts broadcasts in one process.

    Args:
        options: How they work.
        functions: Run them.
        table: Whom they reach.
        management: What they call.
        admission: The throttle that a call has to pass.
        scheduler: When they do what.
        counters: Has ``BROADCAST_COUNTS`` among its columns.
        rng: Draws how long calls and waits are.
    """

    def __init__(
        self,
        options: Broadcast,
        functions: Functions,
        table: ConnectionTable,
        management: Management,
        admission: Admission,
        scheduler: Scheduler,
        counters: Counters,
        rng: random.Random,
    ) -> None:
        self.options = options
        self.functions = functions
        self.table = table
        self.management = management
        self.admission = admission
        self.scheduler = scheduler
        self.counters = counters
        self.rng = rng

    def start(self, channel: str, data: bytes, ended: Callable[[int | None], None]) -> bool:
        """Start the function that broadcasts a message.

        Args:
            channel: Who gets it.
            data: The message.
            ended: Called when the function ends, with how many it reached; with None where it was
                ended because it took too long.

        Returns:
            Whether it starts; False where too many run.
        """
        return self.functions.invoke(partial(self._read, channel, data, ended))

    def _read(
        self, channel: str, data: bytes, ended: Callable[[int | None], None], began_s: float
    ) -> None:
        """Read the table; what it holds at the beginning is what all pages give."""
        options = self.options
        self.counters.add("broadcasts.started")
        rows = self.table.read(channel, options.page_rows if options.first_page_only else -1)
        pages = max(1, -(-len(rows) // options.page_rows))
        owed = _owed(rows)
        self.counters.add(OWED, owed)
        self.counters.add(PENDING, owed)
        read_s = began_s + pages * options.page_ms * _MS
        message = _Message(self, data, ended, began_s)
        self.scheduler.at(read_s, lambda: message.share_out(rows, read_s))


class _Message:
    """One message on its way through all functions that post it."""

    def __init__(
        self,
        broadcaster: Broadcaster,
        data: bytes,
        ended: Callable[[int | None], None],
        began_s: float,
    ) -> None:
        self.broadcaster = broadcaster
        self.data = data
        self.number = broadcaster.management.number_event()
        self._ended = ended
        self._began_s = began_s
        self._posting = 0
        self._reached = 0
        self._timed_out = False

    def share_out(self, rows: Sequence[Row], now_s: float) -> None:
        """Post from this function, or from as many others as share the work."""
        broadcaster, workers = self.broadcaster, self.broadcaster.options.workers
        shares = [rows[first::workers] for first in range(workers)]
        self._posting = workers
        if workers == 1:
            self._post(shares[0], self._began_s, now_s)
            return
        broadcaster.functions.ended()
        for share in shares:
            run = partial(self._begin, share)
            if not broadcaster.functions.invoke(run, now_s):
                self._give_up(share)

    def _begin(self, share: Sequence[Row], began_s: float) -> None:
        self._post(share, began_s, began_s)

    def _post(self, share: Sequence[Row], began_s: float, now_s: float) -> None:
        posting = _Posting(self, share)
        limit_s = began_s + self.broadcaster.options.function_timeout_s
        self.broadcaster.scheduler.at(limit_s, posting.time_out)
        posting.proceed(now_s)

    def _give_up(self, share: Sequence[Row]) -> None:
        lost = _owed(share)
        self.broadcaster.counters.add(PENDING, -lost)
        self.broadcaster.counters.add(REFUSED, lost)
        self._one_less()

    def posted(self, reached: int, *, timed_out: bool) -> None:
        """Handle the end of a function."""
        self.broadcaster.functions.ended()
        self._reached += reached
        self._timed_out |= timed_out
        self._one_less()

    def _one_less(self) -> None:
        self._posting -= 1
        if not self._posting:
            kind = "timed_out" if self._timed_out else "ended"
            self.broadcaster.counters.add(f"broadcasts.{kind}")
            self._ended(None if self._timed_out else self._reached)


class _Posting:
    """One function's way through its rows, with so many calls under way at a time."""

    __slots__ = ("_free", "_is_over", "_message", "_open", "_reached", "_shop", "_waiting")

    def __init__(self, message: _Message, rows: Sequence[Row]) -> None:
        self._message = message
        self._shop = message.broadcaster
        self._waiting = deque((row, 1) for row in rows)
        self._open: dict[str, Row] = {row.connection: row for row in rows}
        self._free = self._shop.options.sockets
        self._reached = 0
        self._is_over = False

    def proceed(self, now_s: float) -> None:
        """Make as many calls as there are sockets free."""
        shop = self._shop
        while self._free and self._waiting:
            row, attempt = self._waiting.popleft()
            self._free -= 1
            due_s = now_s + draw_delay_s(shop.options.post_ms, shop.rng)
            shop.scheduler.at(due_s, partial(self._call, row, attempt, due_s))
        if not self._open:
            self._end(timed_out=False)

    def _call(self, row: Row, attempt: int, due_s: float) -> None:
        if self._is_over:
            return
        shop, message = self._shop, self._message
        shop.counters.add("posts.attempted")
        answered = partial(self._answered, row, attempt, due_s)
        if shop.admission.request():
            call = shop.management.call
            call("POST", row.connection, answered, message.data, message.number)
        else:
            answered(Reply(HTTPStatus.TOO_MANY_REQUESTS))

    def _answered(self, row: Row, attempt: int, due_s: float, reply: Reply) -> None:
        shop, status = self._shop, reply.status
        if self._is_over:
            self._came_too_late(row, status)
            return
        self._free += 1
        if status == HTTPStatus.OK:
            self._reached += 1
            # What was posted is counted where its connection is.
            self._settle(row, OWED, -1)
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            shop.counters.add("posts.throttled")
            self._throttled(row, attempt, due_s)
        else:
            shop.counters.add("posts.gone")
            shop.table.forget(row.connection)
            self._settle(row, CLOSED, 1)
        self.proceed(due_s)

    def _throttled(self, row: Row, attempt: int, due_s: float) -> None:
        """Try again later without holding a socket, unless it was the last attempt."""
        shop = self._shop
        if attempt == shop.options.attempts:
            self._settle(row, THROTTLED, 1)
            return
        # Doubling stops long before it leaves the range of numbers.
        doubled_ms = shop.options.backoff_ms * 2 ** min(attempt - 1, 32)
        most_ms = min(shop.options.backoff_most_ms, doubled_ms)
        again_s = due_s + shop.rng.uniform(0.0, most_ms * _MS)
        shop.scheduler.at(again_s, partial(self._try_again, row, attempt + 1, again_s))

    def _try_again(self, row: Row, attempt: int, now_s: float) -> None:
        if not self._is_over:
            self._waiting.append((row, attempt))
            self.proceed(now_s)

    def _settle(self, row: Row, count: str, amount: int) -> None:
        del self._open[row.connection]
        if not row.has_left:
            self._shop.counters.add(PENDING, -1)
            self._shop.counters.add(count, amount)

    def _came_too_late(self, row: Row, status: int) -> None:
        """Correct the counts: this call was given up and reached its connection all the same."""
        if status == HTTPStatus.OK and not row.has_left:
            self._shop.counters.add(TIMED_OUT, -1)
            self._shop.counters.add(OWED, -1)

    def time_out(self) -> None:
        """End the function, even where it has not reached all."""
        if self._is_over:
            return
        lost = _owed(self._open.values())
        self._shop.counters.add(PENDING, -lost)
        self._shop.counters.add(TIMED_OUT, lost)
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
