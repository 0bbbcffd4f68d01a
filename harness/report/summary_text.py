"""What happened in a run, in one or two sentences of plain English."""

import math
from typing import Any, Final

from harness.analysis.run.disturbances import objectives_on_p99
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.generator import CLOCK_LIMITS, LIMITS
from harness.analysis.run.record import Json, Record
from harness.analysis.run.slo import scope_words
from harness.analysis.run.summary import CHATTER, SUBSCRIBER
from harness.analysis.run.validity import unreachable, why_invalid
from harness.core.metrics import title_of
from harness.report import formatting as q
from harness.report.clocks import AT_MOST, below, latency
from harness.report.glossary import capital

VERDICT_WORDS: Final = {
    "pass": "Pass",
    "fail": "Fail",
    "invalid": "Invalid",
    "no_data": "No data",
}
VERDICT_MARKS: Final = {"pass": "✓", "fail": "✕", "invalid": "!", "no_data": "?"}
"""A shape for each verdict, so that colour never stands alone."""

_MOST_NAMES: Final = 2

_OPERATOR_WORDS: Final = {
    "<=": "at most",
    "<": "under",
    ">=": "at least",
    ">": "over",
    "==": "exactly",
}


def tell(analysis: Analysis) -> str:
    """Return what happened and why the verdict is what it is."""
    cause = analysis.record.run.get("cause")
    parts = [_sentence(str(cause["message"]))] if cause else []
    parts += [_what_happened(analysis), _waited(analysis.summary), _recovered(analysis.summary)]
    parts.append(_why(analysis.summary, told_cause=bool(cause)))
    return " ".join(part for part in parts if part)


def advise(analysis: Analysis) -> str:
    """Return what to do about what ended the run early; empty where there is nothing to say."""
    hint = (analysis.record.run.get("cause") or {}).get("hint")
    return _sentence(str(hint)) if hint else ""


def limit_words(slo: Json) -> str:
    """Return an SLO's limit in words, such as "at most 500 ms"."""
    return f"{_OPERATOR_WORDS[slo['op']]} {q.of_metric(slo['metric'], slo['limit'], exact=True)}"


def observed_words(slo: Json) -> str:
    """Return what an SLO observed, exactly where rounding would show the limit itself."""
    metric, observed = slo["metric"], slo["observed"]
    if "clock_error_ms" in slo:
        return below(slo["clock_error_ms"])
    rounded = q.of_metric(metric, observed)
    looks_equal = rounded == q.of_metric(metric, slo["limit"]) and observed != slo["limit"]
    return q.of_metric(metric, observed, exact=True) if looks_equal else rounded


_METRICS: Final = {limit.code: limit.metric for limit in (*LIMITS, *CLOCK_LIMITS)}


def evidence(warning: Json) -> str:
    """Return what a warning observed and the limit it missed, as an end of a sentence.

    Whether the limit is the most or the least allowed shows in which side was missed.
    """
    metric = _METRICS.get(warning["code"])
    if metric is not None:  # A figure of the summary, in its unit.
        found = observed_words(warning | {"metric": metric})
        limit = q.of_metric(metric, warning["limit"], exact=True)
        return f": {found}, where at most {limit} is allowed"
    found, limit = warning["observed"], warning["limit"]
    if found is None or limit is None:
        return "" if found is None else f": {_printed(found)}"
    if isinstance(found, str) or isinstance(limit, str):
        return f": {found}, where {limit} is required"
    if found < limit:
        return f": {_printed(found)}, where at least {_printed(limit)} is needed"
    return f": {_printed(found)}" + (f", where at most {_printed(limit)} is allowed" * bool(limit))


def _printed(value: Any) -> str:
    return q.figure(value) if isinstance(value, float) else f"{value}"


def _what_happened(analysis: Analysis) -> str:
    summary = analysis.summary
    joins, publishes = summary["joins"], summary["publishes"]
    if not joins["succeeded"] and unreachable(analysis.record.run):
        return ""
    if joins["succeeded"] == 0:
        nobody = f"None of {q.count(joins['attempted'])} users joined."
        return nobody if joins["attempted"] else "Nobody tried to join."
    joined = "How many users joined is unknown"
    if joins["succeeded"]:
        joined = f"{_all_or_some(*_users(analysis))} users joined"
        if (planned := _planned(analysis.record)) > _users(analysis)[1]:
            some = q.count(_users(analysis)[0])
            joined = f"{some} of {q.count(planned)} planned users joined"
    if publishes["sent"] is None:
        return f"{joined}, and how many messages were published is unknown{_arrived(analysis)}"
    if not publishes["sent"]:
        return f"{joined}, and no message was published in the measured time."
    messages = "message was" if publishes["sent"] == 1 else "messages were"
    during = q.seconds(analysis.record.measured_s())
    return (
        f"{joined} and {q.count(publishes['sent'])} {messages} published in {during}"
        f"{_arrived(analysis)}"
    )


def _users(analysis: Analysis) -> tuple[int, int]:
    """Return how many users joined, and how many tried; each once, however often it came back."""
    joins = analysis.summary["joins"]
    if not analysis.record.is_complete:
        return joins["succeeded"], joins["attempted"]
    by_user = analysis.record.connections.groupby(["user_class", "user"])["joined"].max()
    return int(by_user.sum()), len(by_user)


def _planned(record: Record) -> int:
    """Return how many subscribers and chatters were planned; 0 where that cannot be compared."""
    planned = (record.run.get("users") or {}).get("planned", {})
    if not record.is_complete or record.lost_workers:
        return 0
    return sum(planned.get(kind, 0) for kind in (SUBSCRIBER, CHATTER))


def _arrived(analysis: Analysis) -> str:
    summary = analysis.summary
    deliveries, p99 = summary["deliveries"], summary["fan_out_latency_ms"]["p99"]
    said = latency("fan_out_latency_ms", p99, summary).removeprefix(AT_MOST)
    within = f", 99{q.THIN}% of them within {said}" if p99 is not None else ""
    if deliveries["owed"] is None:
        if deliveries["received"] is None:
            return f"; how many deliveries were owed and arrived is unknown{within}."
        received = q.count(deliveries["received"])
        return f"; {received} deliveries arrived{within}, and how many were owed is unknown."
    if not deliveries["owed"]:
        return "; nobody was owed any of them." if _accepted(summary) else _refused(analysis.record)
    owed = q.count(deliveries["owed"])
    if not deliveries["lost"]:
        return f"; all {owed} deliveries owed arrived{within}."
    lost, received = q.count(deliveries["lost"]), q.count(deliveries["received"])
    return f"; of {owed} deliveries owed {lost} never came and {received} arrived{within}."


def _waited(summary: Json) -> str:
    """Return how many waited long for their first message; empty where nobody did."""
    waits = summary.get("first_message_s") or {}  # Not in records of before it was counted.
    if not waits.get("over_10s_ratio"):
        return ""
    share, longest = q.percent(waits["over_10s_ratio"]), q.seconds(waits["max"])
    return f"{share} of subscribers waited over 10{q.THIN}s for a first message, up to {longest}."


def _accepted(summary: Json) -> bool:
    """Say whether at least one publish was not refused."""
    publishes = summary["publishes"]
    return bool(publishes["acknowledged"] or not publishes["failed"] + publishes["throttled"])


def _refused(record: Record) -> str:
    """Return that no publish was accepted, and the error that most of them met."""
    errors = record.errors[record.errors["stage"] == "publish"]
    if errors.empty:
        return "; none of them was accepted."
    kinds = errors.groupby(["code", "message"], as_index=False)["count"].sum()
    code, message = kinds.loc[kinds["count"].idxmax(), ["code", "message"]]
    return f"; none of them was accepted: {f'{code} ({message})' if code else message}."


def _recovered(summary: Json) -> str:
    """Return how long the system took to recover; empty where nothing says what that means."""
    found = summary["disturbances"]
    if not found or not objectives_on_p99(summary["slos"]):
        return ""
    lasting = [str(one["name"]) for one in found if one["recovery_s"] is None]
    if lasting:
        names = " and ".join(lasting) if len(lasting) <= _MOST_NAMES else f"{len(lasting)} of them"
        return f"After {names} fan-out p99 was not seen back inside its limit."
    longest = summary["recovery_s"]["max"]
    each = "the disturbance" if len(found) == 1 else f"each of {len(found)} disturbances"
    within = f"within {q.seconds(math.ceil(longest))}" if longest else "at once"
    return f"Fan-out p99 was back inside its limit {within} after {each}."


def _why(summary: Json, *, told_cause: bool) -> str:
    """Return the reason for a verdict that is not a pass; for a pass, that all was met."""
    slos = summary["slos"]
    if summary["verdict"] == "invalid":
        return "" if told_cause else f"These figures cannot be trusted: {why_invalid(summary)}."
    bad = [slo for slo in slos if slo["verdict"] == summary["verdict"] != "pass"]
    if not bad:
        return "Every objective was met." if slos and summary["verdict"] == "pass" else ""
    more = f", and {len(bad) - 1} more objectives were missed" if len(bad) > 1 else ""
    more = more.replace("objectives were", "objective was") if len(bad) == 2 else more  # noqa: PLR2004 - one and one more
    name = capital(title_of(bad[0]["metric"])) + scope_words(bad[0])
    if bad[0]["verdict"] == "no_data":
        more = more.replace("missed", "without data")
        return f"{name} has an objective but there was nothing to judge it by{more}."
    return f"{name}: {observed_words(bad[0])}, where {limit_words(bad[0])} is required{more}."


def _all_or_some(some: int, everyone: int) -> str:
    if some == everyone:
        return f"All {q.count(everyone)}" if everyone > 1 else "The only"
    return f"{q.count(some)} of {q.count(everyone)}"


def _sentence(text: str) -> str:
    text = capital(text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."
