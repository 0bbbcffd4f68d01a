"""The sentences of a study, for the page, the terminal and JSON."""

from collections.abc import Sequence
from typing import Final

from harness.analysis.decide.study import Assessment, Findings, Origin, Outcome, Seen
from harness.analysis.decide.study_paper import PRICE_LIST, PaperFigure, SystemCost
from harness.analysis.run.record import Json
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import why_invalid
from harness.core.metrics import title_of
from harness.report import formatting as q
from harness.report.clocks import below
from harness.report.summary_text import limit_text, observed_text

ORIGINS: Final = {
    "emulator": ("E", "measured against an emulator on this machine"),
    "real": ("R", "measured against a real system"),
    "paper": ("P", "on paper: a quota or a list price, not measured"),
}
"""Each origin's mark and meaning."""

STANDINGS: Final = {
    "met": ("✓", "met", "pass"),
    "held": ("✓", "held at smaller size", "no_data"),
    "missed": ("✕", "missed", "fail"),
    "invalid": ("!", "invalid runs", "invalid"),
    "unknown": ("–", "not run", "no_data"),
}
"""Each standing's mark, words and tone."""

_COUNTED: Final = {
    "met": ("meets", "met"),
    "held": ("holds at this size", "held at this size"),
    "missed": ("misses", "missed"),
    "invalid": ("has invalid runs for", "with invalid runs"),
    "unknown": ("has no run for", "not run"),
}
"""Each standing before what a system's requirements are about, and behind their number."""

_UNITS: Final = {
    "connected": "connected",
    "messages": "deliveries/s",
    "chatters": "chatters",
    "scale_up": "connected",
    "scale_to_zero": "connected",
}


def marked(text: str, origin: Origin | None) -> str:
    """Return a figure with the mark of its origin."""
    return f"{text} [{ORIGINS[origin][0]}]" if origin and text != q.MISSING else text


def standing_text(answer: Assessment) -> str:
    """Return how a requirement stands, with its mark."""
    mark, words, _ = STANDINGS[answer.standing]
    return f"{mark} {words}"


def size_text(answer: Assessment) -> str:
    """Return the size of the runs and the required size, such as "1,000 of 30,000 connected"."""
    if answer.size is None:
        return q.MISSING
    unit = _UNITS[answer.requirement.about]
    return marked(f"{q.amount(answer.size)} of {q.amount(answer.needed)} {unit}", answer.origin)


def judged_text(answer: Assessment) -> list[tuple[str, Json]]:
    """Return each objective as text, with its judgement."""
    return [
        (
            marked(f"{title_of(slo['metric'])}{scope_words(slo)} {_observed(slo)}", answer.origin)
            + f", {limit_text(slo)}",
            slo,
        )
        for slo in answer.judged
    ]


def _observed(slo: Json) -> str:
    return "has no data" if slo["observed"] is None else observed_text(slo)


def seen_text(seen: Seen) -> str:
    """Return a figure with its name."""
    error_ms = seen.clock_error_ms
    value = q.of_metric(seen.metric, seen.value) if error_ms is None else below(error_ms)
    return marked(f"{title_of(seen.metric)} {value}", seen.origin)


def paper_text(figure: PaperFigure) -> str:
    """Return a quota or a price, and whether it suffices."""
    words = {True: ": sufficient", False: ": insufficient", None: ""}
    if figure.source == PRICE_LIST:
        words = {True: ": scales to zero", False: ": does not scale to zero"}
    return marked(f"{figure.text}{words[figure.is_enough]}", "paper")


def in_short(findings: Findings) -> list[str]:
    """Return a sentence for each system: its requirements and its cost."""
    sentences = []
    for place, cost in enumerate(findings.costs):
        answers = [row[place] for row in findings.answers]
        parts = [_counted(answers)]
        short = [
            paper_text(figure)
            for one in answers
            for figure in one.paper
            if figure.is_enough is False and figure.source != PRICE_LIST
        ]
        parts += [f"on paper {', '.join(short)}"] if short else []
        if cost.usd_day is not None:
            price = marked(q.money(cost.usd_day), "paper")
            idle = marked(q.money(cost.usd_idle), "paper")
            parts.append(f"{price} per day, {idle} when idle")
        sentences.append(f"{cost.system.label}: {'; '.join(parts)}.")
    return sentences


def limits(findings: Findings) -> list[str]:
    """Return the limits of the evidence, each in a sentence or two."""
    found = [*_of_size(findings), *_of_origin(findings), *_of_cells(findings.outcomes)]
    for contest in findings.contests:
        keys = ", ".join(dict.fromkeys(one.key for one in contest.unlike))
        if keys:
            found.append(
                f"{contest.workload.label}: runs differ in more than the system ({keys}), "
                "which may explain differences between them."
            )
    if any(one.planned == 1 for one in findings.outcomes):
        found.append("Each cell was run once: intervals do not include variation between runs.")
    found.append(
        "Prices are list prices in us-east-1 without discount, credit, free tier or tax. Quotas "
        "are the defaults of a new account; most are raised on request."
    )
    return found


def counted(answers: Sequence[Assessment]) -> list[str]:
    """Return the number of requirements per standing, such as "4 held at this size"."""
    standings = [one.standing for one in answers]
    found = [
        f"{standings.count(key)} {words}"
        for key, (_, words) in _COUNTED.items()
        if key in standings
    ]
    short = sum(
        any(figure.is_enough is False for figure in one.paper)
        for one in answers
        if one.standing not in {"met", "missed"}
    )
    return found + ([f"{short} of these insufficient on paper"] if short else [])


def _counted(answers: Sequence[Assessment]) -> str:
    parts = []
    for standing, (words, _) in _COUNTED.items():
        about = [one.requirement.about for one in answers if one.standing == standing]
        if about:
            parts.append(f"{words} {', '.join(about).replace('_', ' ')}")
    return "; ".join(parts)


def _of_size(findings: Findings) -> list[str]:
    smaller = {size_text(one) for row in findings.answers for one in row if one.standing == "held"}
    if not smaller:
        return []
    tried = ", ".join(sorted(smaller))
    words = (
        f"This is the {findings.size} size. “Held at smaller size” means that no objective failed "
        f"at {tried}; "
    )
    return [words + "it does not show that the system carries the required size."]


def _of_origin(findings: Findings) -> list[str]:
    origins = {one.system.label: one.origin for one in findings.outcomes if one.runs}
    emulated, real = (
        [label for label, origin in origins.items() if origin == kind]
        for kind in ("emulator", "real")
    )
    found = []
    if emulated:
        found.append(
            f"{', '.join(emulated)}: emulated on the machine that generated the load. Emulators "
            "implement the documented protocol and the configured quotas; their latencies are "
            "those of this machine, not of a provider."
        )
    if real:
        found.append(
            f"{', '.join(real)}: real systems, as reached from this machine; a run shows one "
            "moment on one network."
        )
    return found


def _of_cells(outcomes: Sequence[Outcome]) -> list[str]:
    missing: dict[tuple[str, str], list[str]] = {}
    for one in outcomes:
        if one.missing:
            missing.setdefault((one.system.label, one.missing), []).append(one.workload.label)
    return [
        *(
            f"{system} lacks runs of {', '.join(workloads)}: {_sentence(reason)}"
            for (system, reason), workloads in missing.items()
        ),
        *(
            f"{one.workload.label} on {one.system.label} has an invalid run, "
            f"{run.record.folder.name}: {_sentence(why_invalid(run.summary))}"
            for one in outcomes
            for run in one.runs
            if run.summary["verdict"] == "invalid"
        ),
    ]


def _sentence(reason: str) -> str:
    text = "; ".join(reason.strip().split("\n"))
    return text if text.endswith((".", "?")) else f"{text}."


def most_expensive_lines(costs: Sequence[SystemCost]) -> list[tuple[str, str]]:
    """Return the most expensive line of each system's bill."""
    found = []
    for cost in costs:
        lines = [line for _, bill in cost.bills for line in bill if line.counts()]
        if lines:
            highest = max(lines, key=lambda line: line.usd)
            name = highest.name.replace("_", " ")
            found.append((cost.system.name, f"{name} {q.money(highest.usd)}"))
    return found
