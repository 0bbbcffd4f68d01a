"""What the users and the publisher of one worker share: the plan, the clock and the counters."""

from collections import Counter
from collections.abc import Callable

from harness.core.clock import RunClock
from harness.core.outside_text import outside_text
from harness.load.worker.interval_stats import IntervalStats, SubscriptionIntervals
from harness.load.worker.locust_table import LocustTable
from harness.load.worker_protocol import RunAssignment
from harness.measure.health import GeneratorHealth
from harness.measure.message_tracker import MessageTracker
from harness.measure.record_schema import ConnectionRow
from harness.net.client import Api, PublishAnswer


def _ignore(_answer: PublishAnswer) -> None:
    """Ignore the answer to a publish, in a worker without a publisher."""


class RunContext:
    """One run in one worker.

    Args:
        assignment: What the master wants done.
        number: This worker's place among ``assignment.workers``.
        api: The system under test.
        table: Locust's own statistics.
        offset_ns: Run clock minus this host's realtime clock.

    Attributes:
        workers: How many workers share the run.
        phase_at: Returns the name of the phase at a second of the run.
        users: Planned users of each class, all workers together.
        trackers: The messages that each class is receiving in this worker.
        connected: Open connections of each class.
        tried: Users of each class that have started: tried to join, or finished their own
            ``on_start``.
        joining: Joins under way.
        earlier_rows: Rows of connections that were followed by another attempt of the same user.
        over: Whether the run has ended for this worker; no user joins from then on.
        on_answer: Takes the answer to a publish.
    """

    def __init__(
        self, assignment: RunAssignment, number: int, api: Api, table: LocustTable, offset_ns: int
    ) -> None:
        self.run_id = assignment.run_id
        self.plan = assignment.plan
        self.number = number
        self.workers = len(assignment.workers)
        self.api = api
        self.table = table
        self.clock = RunClock(assignment.epoch_ns, offset_ns)
        self.phase_at = self.plan.timetable.phase_at
        self.users = self.plan.workload.population.fan_out
        paths = tuple(map(self.plan.channel_path, range(self.plan.workload.channels.count)))
        self.trackers = {name: MessageTracker(self.run_id, offset_ns, paths) for name in self.users}
        self.stats = IntervalStats()
        self.intervals = SubscriptionIntervals()
        self.health = GeneratorHealth(self.plan.workload.generator.send_delay_p99_ms)
        self.connected: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        self.joining = 0
        self.earlier_rows: list[ConnectionRow] = []
        self.over = False
        self.on_answer: Callable[[PublishAnswer], None] = _ignore

    def phase_now(self) -> str:
        """Return the name of the current phase."""
        return self.phase_at(self.clock.elapsed_s())

    def adopt_offset(self, offset_ns: int) -> None:
        """Use a better estimate of the offset to the run clock from now on."""
        self.clock = RunClock(self.clock.epoch_ns, offset_ns)
        for tracker in self.trackers.values():
            tracker.clock_offset_ns = offset_ns

    def failed(
        self, user_class: str, stage: str, error_class: str, code: str, message: str
    ) -> None:
        """Count one error of a user of this class."""
        self.stats.count(user_class, "errors")
        self.stats.error(stage, error_class, outside_text(code), outside_text(message))

    def internal_error(self, sentence: str) -> None:
        """Count an exception that no code of ours handled: the run is invalid for it.

        Args:
            sentence: What was raised, and where.
        """
        self.stats.error("internal", "InternalError", "internal_error", sentence)
