"""Judging service level objectives against a run's summary."""

from collections.abc import Mapping
from typing import Any

from harness.analysis.run.clocks import below_clock_error
from harness.core.limits import OPERATORS
from harness.core.metrics import REQUEST_FIGURES, SUMMARY_METRICS, path_of


def observe(summary: Mapping[str, Any], metric: str) -> float | None:
    """Return the figure at a dotted path such as ``deliveries.ratio``; None if there is none."""
    value: Any = summary
    for key in path_of(metric):
        value = value.get(key) if isinstance(value, Mapping) else None
    is_figure = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_figure else None


def figures_of(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Return every figure of the catalogue by its dotted name; None where there is none."""
    names = [*SUMMARY_METRICS]
    for request in summary.get("requests") or {}:
        names += [f"requests.{request}.{figure}" for figure in REQUEST_FIGURES]
    return {name: observe(summary, name) for name in names}


def holds(slo: Mapping[str, Any], observed: float) -> bool:
    """Return whether a figure keeps an SLO's limit."""
    return OPERATORS[slo["op"]](observed, slo["limit"])


def judge(slo: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return an SLO with what was observed, and its verdict: pass, fail or no_data.

    The part of the run that it names, if any, is in the result too. An objective whose figure was
    never measured has not been met, so it never passes.
    """
    observed = observe(summary, slo["metric"])
    verdict = "no_data"
    if observed is not None:
        verdict = "pass" if holds(slo, observed) else "fail"
    rule = {key: slo[key] for key in ("metric", "op", "limit")}
    judged = rule | {"observed": observed, "verdict": verdict}
    error_ms = below_clock_error(slo["metric"], observed, summary)
    if error_ms is not None:
        judged["clock_error_ms"] = error_ms
    return judged | part_of(slo)


def part_of(slo: Mapping[str, Any]) -> dict[str, Any]:
    """Return the phase and the kind of user that an SLO is about; empty for the whole run."""
    return {key: slo[key] for key in ("phase", "user_class") if slo.get(key) is not None}


def scope_words(slo: Mapping[str, Any]) -> str:
    """Return the kind of user and the phase an SLO is about, in brackets; empty for all of them."""
    parts = [slo[key].replace("_", "-") for key in ("user_class", "phase") if slo.get(key)]
    return f" ({', '.join(parts)})" if parts else ""


def margin(slo: Mapping[str, Any]) -> float | None:
    """Return how far inside its limit a judged SLO is, in the metric's unit.

    Negative when it is outside; None without data, and for ``==``, which has no inside.
    """
    if slo["observed"] is None or slo["op"] == "==":
        return None
    distance = float(slo["limit"]) - float(slo["observed"])
    return distance if slo["op"].startswith("<") else -distance
