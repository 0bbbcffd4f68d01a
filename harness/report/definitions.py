"""What each metric is called and what it means, in the words the report uses."""

import re
from collections.abc import Iterable
from typing import Final

from harness.analysis.run.slo import path_of
from harness.analysis.run.summary import STALL_LIMITS_S
from harness.report.glossary import WORDS, Definition

DEFINITIONS: Final = {
    "fan_out_latency_ms": Definition(
        "fan-out latency",
        "From the moment a message should have been sent to its arrival at a subscriber's socket; "
        "one value for each message and subscriber. A slow system cannot hide by slowing the "
        "sender down.",
    ),
    "service_latency_ms": Definition(
        "service latency",
        "The same from the moment the message really was sent. Where it is lower, the sender was "
        "held up, and a report that counts from the sending would have left that out.",
    ),
    "receive_delay_ms": Definition(
        "receive delay",
        "How long bytes waited between the kernel and the load generator: the generator's own "
        "share, never the system's.",
    ),
    "completion_latency_ms": Definition(
        "completion latency",
        "From the moment a message should have been sent to its arrival at the last subscriber it "
        "was owed to; one value for each message that reached them all.",
    ),
    "publishes.latency_ms": Definition(
        "publish latency",
        "From sending a message until the system acknowledged it.",
    ),
    "publishes.send_delay_ms": Definition(
        "send delay",
        "How much later than scheduled messages were sent: did the generator keep its schedule.",
    ),
    "population.subscribers_peak": Definition(
        "connected users",
        "Connections open at the end of a second; the peak is that of the fullest second. "
        "Chatters publish, subscribers only listen, and both get every message.",
    ),
    "joins.succeeded": Definition(
        "users joined",
        "Joins whose subscription was confirmed, of all that were tried over the whole run; a user "
        "who comes back joins again.",
    ),
    "publishes.sent": Definition(
        "publishes",
        "Messages of the measured time: offered by the schedule, sent, acknowledged by the system, "
        "failed, and throttled by a quota.",
    ),
    "requests": Definition(
        "requests",
        "Operations of the ordinary Locust users that ran beside the fan-out users, as they "
        "reported them to Locust: by method and name, timed by the user's own client, failed ones "
        "included. Joins, publishes and deliveries are not among them.",
    ),
    "errors.count": Definition(
        "errors",
        "Joins, publishes, connections and requests that failed, by the second in which it was "
        "noticed.",
    ),
    "joins.failed_by_cause": Definition(
        "causes of failed joins",
        "Refused: nobody accepted connections. Cut off: the connection ended before the answer. "
        "Own limit: the load generator ran out of files or ports. Other: an error of the system's "
        "own, which the table of errors names.",
    ),
    "joins.latency_ms": Definition(
        "join latency",
        "From the start of a connection until its subscription was confirmed.",
    ),
    "generator.loop_lag_ms": Definition(
        "loop lag",
        "How late the generator's own event loop woke up; high values mean it was overloaded.",
    ),
    "deliveries.owed": Definition(
        "deliveries owed",
        "Pairs of a message the system took and a subscriber whose subscription was confirmed when "
        "it was sent.",
    ),
    "deliveries.ratio": Definition(
        "delivery ratio",
        "Deliveries that arrived, each counted once, as a share of those owed. What is missing was "
        "lost.",
    ),
    "deliveries.duplicated": Definition(
        "duplicated, reordered, late, unexpected",
        "Deliveries that came again; that came after a later message of the same stream; that came "
        "after the drain; that came to a subscriber they were not owed to.",
    ),
    "deliveries.per_s_peak": Definition(
        "offered and achieved load",
        "Deliveries per second that the schedule intended, and those that arrived.",
    ),
    "stall_s": Definition(
        "stall",
        "For one subscriber, the longest time it was owed a message and got none; a silence at the "
        "end lasts until it left or the drain was over.",
    ),
    "first_message_s": Definition(
        "wait for the first message",
        "For one user, from the start of its first attempt to join, or the first message published "
        "in its channels after that, until any message came. Failed attempts are part of it; who "
        "never got one waited until the end.",
    ),
    "recovery_s": Definition(
        "recovery time",
        "From the end of a disturbance until the fan-out p99 is back inside its objective for five "
        "seconds in which messages arrived.",
    ),
    "generator.cpu_ratio_peak": Definition(
        "generator CPU",
        "Use of its one core by the busiest worker, averaged over 5 s. A generator past its limits "
        "makes a run invalid, not slow.",
    ),
    "generator.cpu_wait_ratio_peak": Definition(
        "CPU wait",
        "Share of the time in which a worker was ready to run and had no core.",
    ),
    "generator.machine_others_ratio_peak": Definition(
        "cores taken by other programs",
        "Share of the machine's cores that programs outside the run had. It makes a run invalid "
        "where the system is emulated on the same machine and no core was left idle.",
    ),
    "generator.receive_backlog_peak": Definition(
        "receive backlog",
        "Deliveries that the kernel had and a worker had not read yet at the moment a second of "
        "its began, of those it read within that second.",
    ),
    "generator.receive_delay_growth_ms": Definition(
        "receive delay growth",
        "How much the receive delay grew from the first quarter of the measured time to the last; "
        "0 unless it grew in every quarter.",
    ),
    "generator.gc_pause_max_ms": Definition(
        "GC pause",
        "The longest time Python's garbage collector stopped a worker.",
    ),
    "generator.late_slots_ratio": Definition(
        "late slots",
        "Messages sent later than scheduled by more than the limit of the send delay.",
    ),
    "generator.rss_bytes_peak": Definition(
        "generator memory",
        "Resident memory of the load generator's workers, with the connections and files they hold "
        "open.",
    ),
    "generator.clock_step_max_ms": Definition(
        "clock step",
        "How far a worker's realtime clock was set, either way, against its monotonic one.",
    ),
    "generator.clock_error_ms": Definition(
        "clock error",
        "The most that a latency between two workers may be wrong: how far apart their clocks are "
        "is known no better. No latency below it is quoted. 0 where one machine makes the load.",
    ),
    "generator.unstamped_receives": Definition(
        "receives without a stamp",
        "Reads for which the kernel gave no time of arrival; the worker's own clock stood in.",
    ),
    "cost.usd_run": Definition(
        "cost of the run",
        "What the run used of the system, at list prices.",
    ),
    "cost.usd_day_at_reference": Definition(
        "cost of a day",
        "30,000 users connected all day and 25,000 messages, with the run's event sizes, at list "
        "prices.",
    ),
}
"""Keyed by the figure or the block of figures in the summary."""

_EXPLAINED: Final = DEFINITIONS | WORDS

_EXPLAINED_BY: Final = {
    "population": "population.subscribers_peak",
    "joins": "joins.succeeded",
    "publishes": "publishes.sent",
    "deliveries": "deliveries.owed",
    "deliveries.lost": "deliveries.ratio",
    "deliveries.received": "deliveries.ratio",
    "deliveries.reordered": "deliveries.duplicated",
    "deliveries.late": "deliveries.duplicated",
    "deliveries.unexpected": "deliveries.duplicated",
    "deliveries.per_s_mean": "deliveries.per_s_peak",
    "cost": "cost.usd_run",
    "generator": "generator.rss_bytes_peak",
}
"""Figures, and blocks of them, that the definition of another figure explains."""

_PLAIN: Final = {
    "population.subscribers_peak": "subscribers connected at the peak",
    "population.chatters_peak": "chatters connected at the peak",
    "population.pollers_peak": "users polling at the peak",
    "population.unique_chatters_sent": "different chatters who wrote",
    "joins.failed": "failed joins",
    "joins.succeeded": "users joined",
    "joins.attempted": "joins attempted",
    "joins.per_s_peak": "peak joins",
    "publishes.failed": "failed publishes",
    "publishes.throttled": "throttled publishes",
    "publishes.offered": "publishes offered",
    "publishes.sent": "publishes sent",
    "publishes.acknowledged": "publishes acknowledged",
    "deliveries.received": "deliveries received",
    "deliveries.lost": "lost deliveries",
    "deliveries.duplicated": "duplicated deliveries",
    "deliveries.reordered": "reordered deliveries",
    "deliveries.late": "late deliveries",
    "deliveries.unexpected": "unexpected deliveries",
    "deliveries.per_s_peak": "peak deliveries",
    "deliveries.per_s_mean": "mean deliveries",
    "deliveries.missed_before_measuring": "deliveries missed before measuring",
    "deliveries.missed_while_away": "messages missed while away",
    **{
        f"{block}.over_{limit_s}s_ratio": f"{who} over {limit_s} s"
        for block, who in (
            ("stall_s", "subscribers stalled"),
            ("first_message_s", "subscribers who waited for a first message"),
        )
        for limit_s in STALL_LIMITS_S
    },
    "recovery_s.max": "longest recovery time",
}
_REQUEST_FIGURES: Final = {
    "count": "requests",
    "failure_ratio": "failure ratio",
    "per_s": "rate",
    "bytes": "bytes received",
}
_PERCENTILE_NAMES: Final = {"p999": "p99.9"}


def label(metric: str) -> str:
    """Return what people call a dotted summary metric, such as "fan-out latency p99"."""
    if metric in _PLAIN:
        return _PLAIN[metric]
    path = path_of(metric)
    if path[0] == "requests":
        *_, statistic = path
        figure = f"latency {percentile_name(statistic)}" if "latency_ms" in path else statistic
        return f"{path[1]} {_REQUEST_FIGURES.get(figure, figure)}"
    block, _, statistic = metric.rpartition(".")
    for key in (metric, block):
        if key in DEFINITIONS:
            name = DEFINITIONS[key].name
            return name if key == metric else f"{name} {percentile_name(statistic)}"
    return metric.replace(".", " ").replace("_", " ")


def anchor(metric: str) -> str:
    """Return the id on a page of what explains a metric or a word; empty where nothing does.

    Of a dotted summary metric that is the definition of the figure itself, or else of the block it
    belongs to.
    """
    block = metric.rpartition(".")[0]
    if path_of(metric)[0] == "requests":
        block = "requests"
    for key in (metric, block):
        found = _EXPLAINED_BY.get(key, key)
        if found in _EXPLAINED:
            return "define-" + re.sub(r"\W+|_", "-", found)
    return ""


def definitions(names: Iterable[str]) -> list[tuple[str, Definition]]:
    """Return what explains any of the metrics and words, with its id, each once."""
    wanted = {anchor(name) for name in names}
    return [(anchor(key), one) for key, one in _EXPLAINED.items() if anchor(key) in wanted]


def percentile_name(key: str) -> str:
    """Return a percentile's name as printed: p999 is p99.9."""
    return _PERCENTILE_NAMES.get(key, key)


def capital(text: str) -> str:
    """Return text that begins with a capital letter."""
    return text[:1].upper() + text[1:]
