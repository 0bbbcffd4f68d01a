"""The summary of a run in one or two sentences."""

import math
from typing import Any, Final

from harness.analysis.run.disturbances import objectives_on_p99
from harness.analysis.run.failures import failure_causes
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.generator import CLOCK_LIMITS, LIMITS
from harness.analysis.run.record import Json, Record
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import stopped_by_slo, unreachable, why_invalid
from harness.core.limits import OPERATOR_WORDS
from harness.core.metric_types import CHATTER, SUBSCRIBER
from harness.core.metrics import title_of
from harness.measure.record_schema import IRREGULAR_COUNTS
from harness.report import formatting as q
from harness.report.clocks import AT_MOST, below, latency
from harness.report.glossary import capital
from harness.report.table_cells import Cell

VERDICT_WORDS: Final = {"pass": "Pass", "fail": "Fail", "invalid": "Invalid", "no_data": "No data"}
VERDICT_MARKS: Final = {"pass": "✓", "fail": "✕", "invalid": "!", "no_data": "?"}
"""A symbol for each verdict, so that colour is never the only sign."""


def verdict_cell(verdict: str) -> Cell:
    """Return a table's cell for a verdict."""
    return Cell(f"{VERDICT_MARKS[verdict]} {VERDICT_WORDS[verdict]}", tone=verdict)


_MOST_NAMES: Final = 2


def summary_text(analysis: Analysis) -> str:
    """Return what happened, and the reason of the verdict."""
    return _joined(_cause(analysis.record), what_happened(analysis), _why(analysis))


def verdict_reason(analysis: Analysis) -> str:
    """Return why the run ended early or has its verdict; empty where nothing was required."""
    return _joined(_cause(analysis.record), _why(analysis))


def what_happened(analysis: Analysis) -> str:
    """Return what the users did, what they received and how the system recovered."""
    summary = analysis.summary
    failed = () if unreachable(analysis.record.run) else failure_causes(analysis.record.errors)
    return _joined(
        _counts(analysis),
        *map(_sentence, failed),
        _irregular(summary),
        _waited(summary),
        _recovered(summary),
    )


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _cause(record: Record) -> str:
    """Return the reason that ended a run early; empty without one."""
    cause = record.run.get("cause")
    return _sentence(str(cause["message"])) if cause else ""


def advise(analysis: Analysis) -> str:
    """Return the hint of the reason that ended a run early; empty without one."""
    hint = (analysis.record.run.get("cause") or {}).get("hint")
    return _sentence(str(hint)) if hint else ""


def limit_text(slo: Json) -> str:
    """Return the limit of an SLO as text, such as "at most 500 ms"."""
    return f"{OPERATOR_WORDS[slo['op']]} {q.of_metric(slo['metric'], slo['limit'], exact=True)}"


def observed_text(slo: Json) -> str:
    """Return the value observed for an SLO, unrounded where rounding would show the limit."""
    metric, observed = slo["metric"], slo["observed"]
    if "clock_error_ms" in slo:
        return below(slo["clock_error_ms"])
    rounded = q.of_metric(metric, observed)
    looks_equal = rounded == q.of_metric(metric, slo["limit"]) and observed != slo["limit"]
    return q.of_metric(metric, observed, exact=True) if looks_equal else rounded


_METRICS: Final = {limit.code: limit.metric for limit in (*LIMITS, *CLOCK_LIMITS)}


def evidence(warning: Json) -> str:
    """Return the observed value and the limit of a warning, to be appended to a sentence.

    The limit is a maximum where the value is above it, else a minimum.
    """
    metric = _METRICS.get(warning["code"])
    if metric is not None:  # A figure of the summary, in its unit.
        found = observed_text(warning | {"metric": metric})
        limit = q.of_metric(metric, warning["limit"], exact=True)
        return f": {found}, where at most {limit} is allowed"
    found, limit = warning["observed"], warning["limit"]
    if found is None or limit is None:
        return "" if found is None else f": {_printed(found)}"
    if isinstance(found, str) or isinstance(limit, str):
        return f": {found}, where {limit} is required"
    if found < limit:
        return f": {_printed(found)}, where at least {_printed(limit)} is required"
    return f": {_printed(found)}" + (f", where at most {_printed(limit)} is allowed" * bool(limit))


def _printed(value: Any) -> str:
    return q.figure(value) if isinstance(value, float) else f"{value}"


def _counts(analysis: Analysis) -> str:
    summary = analysis.summary
    joins, publishes = summary["joins"], summary["publishes"]
    if not joins["succeeded"] and unreachable(analysis.record.run):
        return ""
    if joins["succeeded"] == 0:
        none = f"None of {q.count(joins['attempted'])} users joined."
        return none if joins["attempted"] else "No user attempted to join."
    joined = "How many users joined is unknown"
    if joins["succeeded"]:
        some, tried = _users(analysis)
        joined = f"{_all_or_some(some, tried)} users joined"
        if (planned := _planned(analysis.record)) > tried:
            joined = f"{q.count(some)} of {q.count(planned)} planned users joined"
    if publishes["sent"] is None:
        return f"{joined}, and how many messages were published is unknown{_arrived(analysis)}"
    if not publishes["sent"]:
        return f"{joined}, and no message was published in the measured time."
    messages = "message was" if publishes["sent"] == 1 else "messages were"
    during = q.seconds(analysis.record.measured_s())
    none = "not" if publishes["sent"] == 1 else "none of them"
    unconfirmed = "" if publishes["acknowledged"] else f", {none} acknowledged"
    return (
        f"{joined} and {q.count(publishes['sent'])} {messages} published in {during}{unconfirmed}"
        f"{_arrived(analysis)}"
    )


def _users(analysis: Analysis) -> tuple[int, int]:
    """Return the numbers of users that joined and that attempted to, rejoins not counted."""
    joins = analysis.summary["joins"]
    if not analysis.record.is_complete:
        return joins["succeeded"], joins["attempted"]
    by_user = analysis.record.connections.groupby(["user_class", "user"])["joined"].max()
    return int(by_user.sum()), len(by_user)


def _planned(record: Record) -> int:
    """Return the planned number of subscribers and chatters; 0 where it cannot be compared."""
    planned = (record.run.get("users") or {}).get("planned", {})
    if not record.is_complete or record.lost_workers:
        return 0
    return sum(planned.get(kind, 0) for kind in (SUBSCRIBER, CHATTER))


def _arrived(analysis: Analysis) -> str:
    summary = analysis.summary
    deliveries, p99 = summary["deliveries"], summary["fan_out_latency_ms"]["p99"]
    p99_text = latency("fan_out_latency_ms", p99, summary).removeprefix(AT_MOST)
    within = f", 99{q.THIN}% of them within {p99_text}" if p99 is not None else ""
    if deliveries["owed"] is None:
        if deliveries["received"] is None:
            return f"; how many deliveries were owed and arrived is unknown{within}."
        received = q.count(deliveries["received"])
        return f"; {received} deliveries arrived{within}, and how many were owed is unknown."
    if not deliveries["owed"]:
        return "; no subscriber was owed any of them."
    owed = q.count(deliveries["owed"])
    if not deliveries["lost"]:
        if deliveries["owed"] == 1:
            return "; the one delivery owed arrived."
        return f"; all {owed} deliveries owed arrived{within}."
    lost, received = q.count(deliveries["lost"]), q.count(deliveries["received"])
    return f"; of {owed} deliveries owed, {received} arrived{within}, and {lost} did not."


def _irregular(summary: Json) -> str:
    """Return how many deliveries were not the first intact one at their subscriber; empty if 0."""
    counts = irregular_counts(summary["deliveries"])
    return f"Not clean: {', '.join(counts)}." if counts else ""


def irregular_counts(deliveries: Json) -> list[str]:
    """Return the counts that a clean run has at 0, in words; only those that are not."""
    # Missing in summaries of older versions, and null where the record is incomplete.
    return [
        f"{q.count(deliveries[kind])} {kind}"
        for kind in ("duplicated", *IRREGULAR_COUNTS)
        if deliveries.get(kind)
    ]


def _waited(summary: Json) -> str:
    """Return the share of subscribers with a long wait for a first message; empty if none."""
    waits = summary.get("first_message_s") or {}  # Missing in older records.
    if not waits.get("over_10s_ratio"):
        return ""
    share, longest = q.percent(waits["over_10s_ratio"]), q.seconds(waits["max"])
    return f"{share} of subscribers waited over 10{q.THIN}s for a first message, up to {longest}."


def _recovered(summary: Json) -> str:
    """Return the recovery time of the system; empty without an objective on fan-out p99."""
    found = summary["disturbances"]
    if not found or not objectives_on_p99(summary["slos"]):
        return ""
    lasting = [str(one["name"]) for one in found if one["recovery_s"] is None]
    if lasting:
        names = " and ".join(lasting) if len(lasting) <= _MOST_NAMES else f"{len(lasting)} of them"
        return f"Fan-out p99 did not return within its limit after {names}."
    longest = summary["recovery_s"]["max"]
    each = "the disturbance" if len(found) == 1 else f"each of {len(found)} disturbances"
    within = f"at most {q.seconds(math.ceil(longest))}" if longest else "immediately"
    return f"Fan-out p99 was back within its limit {within} after {each}."


def _why(analysis: Analysis) -> str:
    """Return the reason of the verdict, where the cause of an early end does not give it."""
    summary, slos = analysis.summary, analysis.summary["slos"]
    if summary["verdict"] == "invalid":
        if analysis.record.run.get("cause") and not stopped_by_slo(analysis.record.run):
            return ""
        return f"These figures cannot be trusted: {why_invalid(summary)}."
    bad = [slo for slo in slos if slo["verdict"] == summary["verdict"] != "pass"]
    if not bad:
        return "Every objective was met." if slos and summary["verdict"] == "pass" else ""
    more = f", and {len(bad) - 1} more objectives were missed" if len(bad) > 1 else ""
    more = more.replace("objectives were", "objective was") if len(bad) == 2 else more  # noqa: PLR2004 - one and one more
    name = capital(title_of(bad[0]["metric"])) + scope_words(bad[0])
    if bad[0]["verdict"] == "no_data":
        more = more.replace("missed", "without data")
        return f"{name} has an objective but no data{more}."
    return f"{name}: {observed_text(bad[0])}, where {limit_text(bad[0])} is required{more}."


def _all_or_some(some: int, everyone: int) -> str:
    if some == everyone:
        return f"All {q.count(everyone)}" if everyone > 1 else "The only"
    return f"{q.count(some)} of {q.count(everyone)}"


def _sentence(text: str) -> str:
    text = capital(text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."
