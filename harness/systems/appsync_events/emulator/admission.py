"""Who may connect, publish and subscribe: quotas and faults, in the errors of the service.

Source of the quotas: Service Quotas of AppSync, read November 2026. What the service answers to
a client above a rate is undocumented; decided here: an error named ``LimitExceededError``, which
the official Android client knows.
"""

from harness.emulation.counters import Counters
from harness.emulation.faults import ConnectOutcome, Faults
from harness.emulation.quotas import ConnectionRate, Rate
from harness.emulation.worker import WorkerContext
from harness.systems.appsync_events.options import Quotas
from harness.systems.appsync_events.wire import WireError

LIMIT_EXCEEDED = WireError("LimitExceededError", "Rate limit exceeded.")
TOO_MANY_SUBSCRIPTIONS = WireError(
    "MaxSubscriptionsReachedError", "Maximum number of subscriptions on this connection reached."
)


class Admission:
    """The admission of one process.

    Attributes:
        outbound: The limit of steps of metering delivered; None without quotas.
    """

    def __init__(
        self, quotas: Quotas, faults: Faults, counters: Counters, context: WorkerContext
    ) -> None:
        self._quotas = quotas
        self._faults = faults
        self._counters = counters
        limits = {
            "connects": quotas.connects_per_s,
            "inbound": quotas.inbound_events_per_s,
            "outbound": quotas.outbound_messages_per_s,
        }
        self._connects, self._inbound, self.outbound = (
            Rate(context, name, limit) if quotas.enabled else None for name, limit in limits.items()
        )

    def connect(self) -> ConnectOutcome:
        """Decide what becomes of a client that connects, and count it unless it is admitted."""
        return self._faults.on_connect(self._connects)

    def connection_rate(self) -> ConnectionRate | None:
        """Return the limit of publishes of one new connection; None without quotas."""
        limit_per_s = self._quotas.publishes_per_s_per_connection
        return ConnectionRate(limit_per_s) if self._quotas.enabled else None

    def publish(self, events: int, connection: ConnectionRate | None) -> WireError | None:
        """Return why a publish is throttled; None where it is not.

        Args:
            events: How many it holds.
            connection: The limit of the connection it came by; None over HTTP.
        """
        if self._faults.on_publish():
            return LIMIT_EXCEEDED  # The faults have counted it.
        cause = ""
        if connection is not None and not connection.take():
            cause = "connection_quota"
        elif self._inbound is not None and not self._inbound.take(events):
            cause = "quota"
        if not cause:
            return None
        self._counters.add(f"publishes.throttled.{cause}")
        return LIMIT_EXCEEDED

    def subscribe(self, subscriptions: int) -> WireError | None:
        """Return why a connection that has so many subscriptions gets no more; None if it does."""
        limit = self._quotas.subscriptions_per_connection
        is_too_many = self._quotas.enabled and subscriptions >= limit
        return TOO_MANY_SUBSCRIPTIONS if is_too_many else None
