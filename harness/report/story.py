"""What happened in a run, in one or two sentences of plain English."""

from typing import Final

from harness.analysis.finalise import Analysis
from harness.analysis.record import Json
from harness.analysis.validity import invalidates, unreachable
from harness.report import quantities as q
from harness.report.definitions import label

VERDICT_WORDS: Final = {
    "pass": "Pass",
    "fail": "Fail",
    "invalid": "Invalid",
    "no_data": "No data",
}
VERDICT_MARKS: Final = {"pass": "✓", "fail": "✕", "invalid": "!", "no_data": "?"}
"""A shape for each verdict, so that colour never stands alone."""

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
    parts += [_what_happened(analysis), _why(analysis.summary, told_cause=bool(cause))]
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
    rounded = q.of_metric(metric, observed)
    looks_equal = rounded == q.of_metric(metric, slo["limit"]) and observed != slo["limit"]
    return q.of_metric(metric, observed, exact=True) if looks_equal else rounded


def evidence(warning: Json) -> str:
    """Return what a warning observed and the limit it should have kept, as an end of a sentence."""
    found, limit = (
        q.figure(value) if isinstance(value, float) else value
        for value in (warning["observed"], warning["limit"])
    )
    observed = "" if found is None else f": {found}"
    return observed if limit is None else f"{observed}, where the limit is {limit}"


def _what_happened(analysis: Analysis) -> str:
    summary = analysis.summary
    joins, publishes = summary["joins"], summary["publishes"]
    if not joins["succeeded"] and unreachable(analysis.record.run):
        return ""
    if not joins["succeeded"]:
        nobody = f"None of {q.count(joins['attempted'])} users joined."
        return nobody if joins["attempted"] else "Nobody tried to join."
    joined = f"{_all_or_some(joins['succeeded'], joins['attempted'])} users joined"
    if not publishes["sent"]:
        return f"{joined}, and no message was published in the measured time."
    messages = "message was" if publishes["sent"] == 1 else "messages were"
    during = q.seconds(analysis.record.measured_s())
    return (
        f"{joined} and {q.count(publishes['sent'])} {messages} published in {during}"
        f"{_arrived(summary)}"
    )


def _arrived(summary: Json) -> str:
    deliveries, p99 = summary["deliveries"], summary["fan_out_latency_ms"]["p99"]
    within = f", 99{q.THIN}% of them within {q.milliseconds(p99)}" if p99 is not None else ""
    if deliveries["owed"] is None:
        received = q.count(deliveries["received"])
        return f"; {received} deliveries arrived{within}, and how many were owed is unknown."
    if not deliveries["owed"]:
        return "; nobody was owed any of them."
    owed = q.count(deliveries["owed"])
    if not deliveries["lost"]:
        return f"; all {owed} deliveries owed arrived{within}."
    lost, received = q.count(deliveries["lost"]), q.count(deliveries["received"])
    return f"; of {owed} deliveries owed {lost} never came and {received} arrived{within}."


def _why(summary: Json, *, told_cause: bool) -> str:
    """Return the reason for a verdict that is not a pass; for a pass, that all was met."""
    slos = summary["slos"]
    if summary["verdict"] == "invalid":
        first = next(warning for warning in summary["warnings"] if invalidates(warning))
        return "" if told_cause else f"These figures cannot be trusted: {first['hint']}."
    bad = [slo for slo in slos if slo["verdict"] == summary["verdict"] != "pass"]
    if not bad:
        return "Every objective was met." if slos and summary["verdict"] == "pass" else ""
    more = f", and {len(bad) - 1} more objectives were missed" if len(bad) > 1 else ""
    more = more.replace("objectives were", "objective was") if len(bad) == 2 else more  # noqa: PLR2004 - one and one more
    name = _first_letter_up(label(bad[0]["metric"]))
    if bad[0]["verdict"] == "no_data":
        more = more.replace("missed", "without data")
        return f"{name} has an objective but there was nothing to judge it by{more}."
    return f"{name}: {observed_words(bad[0])}, where {limit_words(bad[0])} is required{more}."


def _all_or_some(some: int, everyone: int) -> str:
    if some == everyone:
        return f"All {q.count(everyone)}" if everyone > 1 else "The only"
    return f"{q.count(some)} of {q.count(everyone)}"


def _sentence(text: str) -> str:
    text = _first_letter_up(text.strip())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _first_letter_up(text: str) -> str:
    return text[:1].upper() + text[1:]
