"""The metric catalogue: every figure of a run's summary, in one place.

SLO files, JSON Schemas, pages, comparisons, studies and ``docs/measurement.md`` read it. To add a
figure, add it here, compute it in ``harness.analysis.run``, test it, and run
``python -m harness.scenario.schema``.
"""

import re
from dataclasses import replace
from typing import Final

from harness.core.metric_types import (
    MEASURED,
    MEASURED_BY_BOTH,
    MEASURED_BY_PHASE,
    STATISTICS,
    WHOLE_RUN,
    WHOLE_RUN_BY_BOTH,
    Better,
    Definition,
    Latency,
    Metric,
    Scope,
    Unit,
    latency,
    percentile_name,
    single,
    wait,
)

AGGREGATED: Final = "Aggregated"
"""The name of all ordinary requests together, as in Locust."""
REQUEST_EXAMPLE: Final = "requests.GET /history.latency_ms.p99"

_COUNT, _RATIO, _MS, _PER_SECOND = Unit.COUNT, Unit.RATIO, Unit.MS, Unit.PER_SECOND
_LOWER, _HIGHER, _NEITHER = Better.LOWER, Better.HIGHER, Better.NEITHER

# One figure in a line or two, as a table.
# fmt: off
CATALOGUE: Final[tuple[Definition, ...]] = (
    latency(
        "fan_out_latency_ms", "fan-out latency", "fan_out_latency", MEASURED_BY_BOTH,
        "kernel receive − intended",
        "From the moment a message should have been sent to its arrival at a subscriber's socket; "
        "one value for each message and subscriber. A slow system cannot improve it by slowing "
        "the sender down.",
        spans_clocks=True,
    ),
    latency(
        "service_latency_ms", "service latency", "service_latency", MEASURED_BY_BOTH,
        "kernel receive − sent",
        "The same from the moment the message actually was sent. Where it is lower, the sender was "
        "delayed, which a report that counts from the actual sending would leave out.",
        spans_clocks=True,
    ),
    latency(
        "receive_delay_ms", "receive delay", "receive_delay", MEASURED_BY_BOTH,
        "when the ledger took it − kernel receive",
        "How long bytes waited between the kernel and the load generator: a delay of the "
        "generator, not of the system.",
    ),
    latency(
        "completion_latency_ms", "completion latency", "", MEASURED,
        "last arrival − intended, of messages with owed > 0 and lost = 0",
        "From the moment a message should have been sent to its arrival at the last subscriber it "
        "was owed to; one value for each message that reached them all.",
        spans_clocks=True,
    ),
    latency(
        "publishes.latency_ms", "publish latency", "publish_latency", MEASURED_BY_BOTH,
        "kernel receive of the acknowledgement − sent",
        "From sending a message until the system acknowledged it.",
    ),
    latency(
        "publishes.send_delay_ms", "send delay", "send_delay", MEASURED_BY_BOTH, "sent − intended",
        "How much later than scheduled messages were sent; it shows whether the generator kept its "
        "schedule.",
    ),
    Definition(
        "population.subscribers_peak", "connected users",
        "Connections open at the end of a second; the peak is that of the fullest second. "
        "Chatters publish, subscribers only listen, and both get every message.",
        (
            Metric("population.subscribers_peak", "subscribers connected at the peak", _COUNT,
                   _HIGHER, WHOLE_RUN, "most subscribers connected at the end of a second"),
            Metric("population.chatters_peak", "chatters connected at the peak", _COUNT, _HIGHER,
                   WHOLE_RUN, "most chatters connected at the end of a second"),
            Metric("population.pollers_peak", "users polling at the peak", _COUNT, _HIGHER,
                   WHOLE_RUN, "most users that poll at the end of a second"),
            Metric("population.unique_chatters_sent", "different chatters who wrote", _COUNT,
                   _HIGHER, MEASURED, "different chatters with a message sent"),
        ),
    ),
    Definition(
        "joins.succeeded", "users joined",
        "Joins whose subscription was confirmed, of all attempts over the whole run; a user that "
        "comes back joins again.",
        (
            Metric("joins.attempted", "joins attempted", _COUNT, _NEITHER, WHOLE_RUN_BY_BOTH,
                   "attempts to join: first ones, retries and reconnects"),
            Metric("joins.succeeded", "users joined", _COUNT, _HIGHER, WHOLE_RUN_BY_BOTH,
                   "attempts whose subscription was confirmed"),
            Metric("joins.failed", "failed joins", _COUNT, _LOWER, WHOLE_RUN_BY_BOTH,
                   "attempts that failed"),
            Metric("joins.per_s_peak", "peak joins", _PER_SECOND, _HIGHER, WHOLE_RUN,
                   "most joins confirmed within one second"),
        ),
    ),
    Definition(
        "publishes.sent", "publishes",
        "Messages of the measured time: offered by the schedule, sent, acknowledged by the system, "
        "failed, and throttled by a quota.",
        (
            Metric("publishes.offered", "publishes offered", _COUNT, _NEITHER, MEASURED,
                   "messages scheduled"),
            Metric("publishes.sent", "publishes sent", _COUNT, _HIGHER, MEASURED,
                   "messages handed to a socket"),
            Metric("publishes.acknowledged", "publishes acknowledged", _COUNT, _HIGHER, MEASURED,
                   "messages that the system accepted"),
            Metric("publishes.failed", "failed publishes", _COUNT, _LOWER, MEASURED,
                   "messages refused, throttling aside, or not answered in time"),
            Metric("publishes.throttled", "throttled publishes", _COUNT, _LOWER, MEASURED,
                   "messages refused with a code for throttling"),
        ),
    ),
    Definition(
        "requests", "requests",
        "Operations of the ordinary Locust users that ran beside the fan-out users, as they "
        "reported them to Locust: by method and name, timed by the user's own client, failed ones "
        "included. Joins, publishes and deliveries are not among them.",
        (
            Metric("requests.NAME.count", "NAME requests", _COUNT, _NEITHER, MEASURED,
                   "requests of ordinary Locust users"),
            Metric("requests.NAME.failures", "NAME failures", _COUNT, _LOWER, MEASURED,
                   "requests that failed"),
            Metric("requests.NAME.failure_ratio", "NAME failure ratio", _RATIO, _LOWER, MEASURED,
                   "failures ÷ count"),
            Metric("requests.NAME.per_s", "NAME rate", _PER_SECOND, _NEITHER, MEASURED,
                   "count ÷ length of the measured phase"),
            Metric("requests.NAME.bytes", "NAME bytes received", Unit.BYTES, _NEITHER, MEASURED,
                   "bytes received"),
            *(
                Metric(f"requests.NAME.latency_ms.{one}", f"NAME latency {percentile_name(one)}",
                       _MS, _LOWER, MEASURED,
                       "what the user's own client measured, failed requests included")
                for one in STATISTICS
            ),
        ),
    ),
    Definition(
        "errors.count", "errors",
        "Failed joins, publishes, connections and requests, and deliveries that were altered, "
        "misrouted, malformed or foreign, by the second in which it was noticed.",
    ),
    Definition(
        "joins.failed_by_cause", "causes of failed joins",
        "Refused: the connection was refused. Cut off: the connection ended before the answer. "
        "Own limit: the load generator ran out of files or ports. Other: an error of the system's "
        "own, which the table of errors names.",
    ),
    latency(
        "joins.latency_ms", "join latency", "join_latency", WHOLE_RUN_BY_BOTH,
        "kernel receive of the confirmation − start of the TCP connect",
        "From the start of a connection until its subscription was confirmed.",
    ),
    latency(
        "generator.loop_lag_ms", "loop lag", "loop_lag", MEASURED,
        "how late a 20 ms timer on the event loop was",
        "How late the generator's own event loop woke up; high values mean it was overloaded.",
    ),
    Definition(
        "deliveries.owed", "deliveries owed",
        "Pairs of a message that the system accepted and a subscriber whose subscription was "
        "confirmed when it was sent.",
        (
            Metric("deliveries.owed", "deliveries owed", _COUNT, _NEITHER, MEASURED_BY_PHASE,
                   "pairs of a message that the system accepted and a subscriber owed it"),
            Metric("deliveries.missed_before_measuring", "deliveries missed before measuring",
                   _COUNT, _LOWER, Scope("before measuring"), "owed − received"),
            Metric("deliveries.missed_while_away", "messages missed while away", _COUNT, _LOWER,
                   WHOLE_RUN,
                   "messages that the system accepted while a user that had been owed was owed "
                   "nothing, summed over users"),
        ),
    ),
    Definition(
        "deliveries.ratio", "delivery ratio",
        "Deliveries that arrived, each counted once, as a share of those owed. The rest was lost.",
        (
            Metric("deliveries.received", "deliveries received", _COUNT, _HIGHER, MEASURED_BY_PHASE,
                   "distinct owed deliveries that came before the drain ended"),
            Metric("deliveries.lost", "lost deliveries", _COUNT, _LOWER, MEASURED_BY_PHASE,
                   "owed − received"),
            Metric("deliveries.ratio", "delivery ratio", _RATIO, _HIGHER, MEASURED_BY_PHASE,
                   "received ÷ owed"),
        ),
    ),
    Definition(
        "deliveries.duplicated", "duplicated, reordered, late, unexpected",
        "Deliveries that arrived again; after a later message of the same stream; after the drain; "
        "at a subscriber to which they were not owed.",
        (
            Metric("deliveries.duplicated", "duplicated deliveries", _COUNT, _LOWER,
                   MEASURED_BY_PHASE, "deliveries of a message that had come before"),
            Metric("deliveries.reordered", "reordered deliveries", _COUNT, _LOWER,
                   MEASURED_BY_PHASE, "distinct deliveries after a later one of their stream"),
            Metric("deliveries.late", "late deliveries", _COUNT, _LOWER, MEASURED_BY_PHASE,
                   "distinct owed deliveries after the drain; lost too"),
            Metric("deliveries.unexpected", "unexpected deliveries", _COUNT, _LOWER,
                   MEASURED_BY_PHASE, "deliveries sent before they were owed"),
        ),
    ),
    Definition(
        "deliveries.altered", "altered, misrouted, malformed, foreign",
        "What arrived changed, of a channel not subscribed to, in pieces, or without a message.",
        (
            Metric("deliveries.altered", "altered deliveries", _COUNT, _LOWER, WHOLE_RUN,
                   "messages not as they were sent; with an intact token received, too"),
            Metric("deliveries.misrouted", "misrouted deliveries", _COUNT, _LOWER, WHOLE_RUN,
                   "intact deliveries of a channel that the subscriber did not subscribe to"),
            Metric("deliveries.malformed", "malformed deliveries", _COUNT, _LOWER, WHOLE_RUN,
                   "beginnings of a message that no whole token follows"),
            Metric("deliveries.foreign", "foreign events", _COUNT, _LOWER, WHOLE_RUN,
                   "events without a message of this run"),
        ),
    ),
    Definition(
        "deliveries.per_s_peak", "offered and achieved load",
        "Deliveries per second that the schedule intended, and those that arrived.",
        (
            Metric("deliveries.per_s_peak", "peak deliveries", _PER_SECOND, _HIGHER,
                   Scope("measured phase"),
                   "most distinct owed deliveries that arrived in a second"),
            Metric("deliveries.per_s_mean", "mean deliveries", _PER_SECOND, _HIGHER,
                   Scope("measured phase"), "distinct owed deliveries that arrived ÷ length"),
        ),
    ),
    wait(
        "stall_s", "stall", "subscribers stalled", "percentiles of the subscribers' longest stalls",
        "subscribers whose longest stall is longer ÷ subscribers that were owed anything",
        "For one subscriber, the longest time in which it was owed a message and received none; a "
        "silence at the end lasts until it left or the drain ended.",
    ),
    wait(
        "first_message_s", "wait for the first message",
        "subscribers who waited for a first message",
        "percentiles of how long users waited for their first message",
        "users that waited longer ÷ users that wanted to subscribe",
        "For one user, from the start of its first attempt to join, or the first message published "
        "in its channels after that, until any message arrived. Failed attempts are part of it; a "
        "user that never received one waited until the end.",
    ),
    Definition(
        "recovery_s", "recovery time",
        "From the end of a disturbance until the fan-out p99 is back inside its objective for five "
        "seconds in which messages arrived.",
        (
            Metric("recovery_s.max", "longest recovery time", Unit.SECONDS, _LOWER,
                   Scope("all disturbances"), "the longest; null if one was not seen to end"),
        ),
    ),
    single(
        "generator.cpu_ratio_peak", "generator CPU", _RATIO, MEASURED,
        "process time ÷ time, mean over 5 s, of the worst worker",
        "Use of its one core by the busiest worker, averaged over 5 s. A generator past its limits "
        "makes a run invalid, not slow.",
    ),
    single(
        "generator.cpu_wait_ratio_peak", "CPU wait", _RATIO, MEASURED,
        "run delay of the main thread ÷ time, mean over 5 s, of the worst worker",
        "Share of the time in which a worker was ready to run and had no core.",
    ),
    single(
        "generator.machine_others_ratio_peak", "cores taken by other programs", _RATIO, MEASURED,
        "busy time less that of the run's processes, while under a tenth is idle, mean over 5 s",
        "Share of the machine's cores that programs outside the run had. It makes a run invalid "
        "where the system is emulated on the same machine and no core was left idle.",
    ),
    single(
        "generator.receive_backlog_peak", "receive backlog", _COUNT, MEASURED,
        "most deliveries in the kernel as a second began, of the worst worker",
        "Deliveries that were in the kernel, and not yet read by a worker, as a second began; of "
        "those that it read within that second.",
    ),
    single(
        "generator.receive_delay_growth_ms", "receive delay growth", _MS, MEASURED,
        "median of the last quarter − of the first, if it grew in each, of the worst worker",
        "How much the receive delay grew from the first quarter of the measured time to the last; "
        "0 unless it grew in every quarter.",
    ),
    single(
        "generator.gc_pause_max_ms", "GC pause", _MS, MEASURED,
        "longest pause of Python's garbage collector",
        "The longest time Python's garbage collector stopped a worker.",
    ),
    single(
        "generator.late_slots_ratio", "late slots", _RATIO, MEASURED,
        "messages sent later than the limit of the send delay ÷ messages sent",
        "Messages sent later than scheduled by more than the limit of the send delay.",
    ),
    Definition(
        "generator.rss_bytes_peak", "generator memory",
        "Resident memory of the load generator's workers, with the connections and files they hold "
        "open.",
        (
            Metric("generator.workers", "generator workers", _COUNT, _NEITHER, WHOLE_RUN,
                   "number of worker processes"),
            Metric("generator.rss_bytes_peak", "generator memory", Unit.BYTES, _LOWER, WHOLE_RUN,
                   "most memory of all workers together in one second"),
        ),
    ),
    single(
        "generator.clock_step_max_ms", "clock step", _MS, WHOLE_RUN,
        "largest change of realtime − monotonic, the quickest of three readings",
        "How far a worker's realtime clock was set, either way, against its monotonic one.",
    ),
    single(
        "generator.clock_error_ms", "clock error", _MS, MEASURED,
        "sum of the two largest errors of the workers' clock offsets in a second; see *Clocks*",
        "The largest possible error of a latency between two workers, because the offset of their "
        "clocks is not known better. No latency below it is quoted. 0 with one load machine.",
    ),
    single(
        "generator.unstamped_receives", "receives without a stamp", _COUNT, WHOLE_RUN,
        "reads whose time of arrival is of the worker's own clock",
        "Reads for which the kernel gave no time of arrival; the worker's own clock was used.",
    ),
    single(
        "cost.usd_run", "cost of the run", Unit.USD, Scope("joins to drain"),
        "everything the run used of the system, at list prices (`docs/systems.md`); null for a "
        "system without a price list, or a record without its connections",
        "What the run used of the system, at list prices.",
    ),
    single(
        "cost.usd_day_at_reference", "cost of a day", Unit.USD, MEASURED,
        "30,000 users connected for 24 h and 25,000 messages, with the sizes of the run's events, "
        "the share of the connected users that each message reached, and its handler calls",
        "30,000 users connected all day and 25,000 messages, with the run's event sizes, at list "
        "prices.",
    ),
)
# fmt: on

METRICS: Final = {metric.name: metric for term in CATALOGUE for metric in term.metrics}
"""Every figure by name."""
LATENCIES: Final = {term.key: term for term in CATALOGUE if isinstance(term, Latency)}
"""Every block of percentiles by the block's name."""

REQUEST_FIGURES: Final = tuple(
    name.removeprefix("requests.NAME.") for name in METRICS if name.startswith("requests.")
)
"""What the summary has of each kind of ordinary request."""
REQUEST_PATTERN: Final = rf"^requests\.(.+)\.({'|'.join(map(re.escape, REQUEST_FIGURES))})$"
"""What a figure of them looks like. Which requests there will be, no scenario knows."""
SUMMARY_METRICS: Final = tuple(name for name in METRICS if not name.startswith("requests."))
"""Every other figure."""

_RENAMED: Final = {"deliveries.unowed": "deliveries.unexpected"}
"""Earlier names of figures, which are still read, and their names now."""


def current_name(name: str) -> str:
    """Return the name that a figure has now; the same unless it was renamed."""
    return _RENAMED.get(name, name)


def find_metric(name: str) -> Metric | None:
    """Return the figure at a dotted path of the summary; None where the summary has none."""
    found = re.match(REQUEST_PATTERN, name)
    if found is None:
        return METRICS.get(current_name(name))
    request, figure = found.groups()
    metric = METRICS[f"requests.NAME.{figure}"]
    return replace(metric, name=name, title=metric.title.replace("NAME", request))


def path_of(name: str) -> tuple[str, ...]:
    """Return the keys of the summary that lead to a figure; a request's name may have dots."""
    found = re.match(REQUEST_PATTERN, name)
    if found:
        return ("requests", found[1], *found[2].split("."))
    return tuple(current_name(name).split("."))


def title_of(name: str) -> str:
    """Return what people call a figure, such as "fan-out latency p99"."""
    metric = find_metric(name)
    return metric.title if metric else name.replace(".", " ").replace("_", " ")


def unit_of(name: str) -> Unit:
    """Return the unit of a figure, or of a block of percentiles."""
    metric = find_metric(name)
    return metric.unit if metric else Unit.MS if name in LATENCIES else Unit.COUNT


def more_is_better(name: str) -> bool:
    """Say whether a figure improves when it rises."""
    metric = find_metric(name)
    return metric is not None and metric.better is Better.HIGHER
