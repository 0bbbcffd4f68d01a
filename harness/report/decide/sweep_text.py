"""The sentences and tables of a sweep, for the terminal and the page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from harness.analysis.decide.capacity import (
    AT_LEAST_GENERATOR,
    AT_LEAST_MOST,
    FOUND,
    NONE_HELD,
    Cell,
    latency_ms,
)
from harness.analysis.decide.sweep import SweepStep, TrialResult
from harness.core.exit_codes import VERDICTS
from harness.report import formatting as q
from harness.report.clocks import explanation, quoted
from harness.report.table_cells import Cell as TableCell
from harness.report.table_cells import Row, Table, table_of

if TYPE_CHECKING:
    from harness.scenario.axes import Axis

ANSWER_WORDS: Final = {
    TrialResult.HELD: "held",
    TrialResult.BROKE: "failed",
    TrialResult.NONE: "invalid",
}
_LOOKS: Final = {
    TrialResult.HELD: ("✓", "pass"),
    TrialResult.BROKE: ("✕", "fail"),
    TrialResult.NONE: ("!", "invalid"),
}
"""Mark and tone of an answer."""


def load_text(axis: "Axis", load: float | None) -> str:
    """Return a load with its unit, such as "1,900 deliveries/s" or "300 subscribers"."""
    return q.MISSING if load is None else f"{amount(load)} {axis.title}{axis.unit}"


def amount(load: float | None) -> str:
    """Return the number of a load, with its significant digits."""
    if load is None:
        return q.MISSING
    return f"{load:,.0f}" if load >= 1000 or load == int(load) else f"{load:,.5g}"  # noqa: PLR2004 - digits that matter


def step_line(step: SweepStep, axis: "Axis") -> str:
    """Return one step on one line."""
    seen = latency_ms(step, axis)
    latency = f"join p99 {q.milliseconds(seen)}"
    if not axis.is_of_joins:
        latency = f"fan-out p99 {fan_out(seen, step)}"
    parts = [load_text(axis, step.load), ANSWER_WORDS[step.answer]]
    parts += [plain(latency)] if seen is not None else []
    parts += [step.reason] if step.reason else []
    return ", ".join(parts)


def fan_out(value_ms: float | None, step: SweepStep) -> str:
    """Return a step's fan-out latency, or the clock error as its upper bound."""
    return quoted("fan_out_latency_ms", value_ms, step.clock_error_ms)


def plain(text: str) -> str:
    """Replace the thin spaces of pages, which many terminals render badly."""
    return text.replace(q.THIN, " ")


def capacity_text(cell: Cell) -> str:
    """Return the capacity, or its lower bound."""
    low = load_text(cell.axis, cell.bracket.low)
    if cell.result == FOUND:
        return low
    return f"at least {low}" if cell.bracket.low is not None else "no load held"


def result_text(cell: Cell) -> str:
    """Return the result of a search, its resolution and its limits."""
    low, high, _ = cell.bracket
    at_low, at_high = load_text(cell.axis, low), load_text(cell.axis, high)
    if cell.result == FOUND and low and high:
        rest = (
            ""
            if cell.is_settled
            else " The maximum number of steps was reached before the requested resolution."
        )
        return (
            f"Every objective held at {at_low} and not at {at_high}, a step of "
            f"{step_text(low, high)}.{rest}{_cause(cell)}"
        )
    if cell.result == AT_LEAST_GENERATOR:
        return (
            f"The system held at {at_low}. At {at_high} the run was invalid, so the capacity of "
            f"the system is at least {at_low}.{_cause(cell)}"
        )
    if cell.result == AT_LEAST_MOST:
        reason = "the highest load requested, or that this machine can generate"
        if low is not None and low < cell.search.most:
            reason = "where the maximum number of steps was reached"
        return f"Every objective held up to {at_low}, {reason}: a lower bound."
    if cell.result == NONE_HELD:
        return f"No load held, down to {at_high}.{_cause(cell)}"
    return f"Nothing was measured: the load generator failed at every load.{_cause(cell)}"


def step_text(low: float, high: float) -> str:
    """Return how far two loads are apart, in percent of the lower one."""
    return f"{100 * (high / low - 1):.1f}{q.THIN}%"


def _cause(cell: Cell) -> str:
    """Return why the lowest load that did not hold failed."""
    failed = [one for one in cell.steps if one.load == cell.bracket.high and one.reason]
    return f" Reason: {failed[-1].reason}." if failed else ""


def knee_text(cell: Cell) -> str:
    """Return the knee of the latency with its range."""
    if cell.knee is None:
        return "No knee: latency does not bend over the tested loads, or there are fewer than five."
    low, high = amount(cell.knee.low), amount(cell.knee.high)
    return (
        f"Latency begins to bend at {load_text(cell.axis, cell.knee.load)} "
        f"(Kneedle; between {low} and {high})."
    )


def law_text(cell: Cell) -> str:
    """Return the limit by the Universal Scalability Law, marked where it is extrapolated."""
    law = cell.law
    if law.refusal:
        return f"The Universal Scalability Law was not fitted: {law.refusal}."
    worst = max(abs(one) for one in law.residual_ratios)
    unit = "joins/s" if cell.axis.is_of_joins else "deliveries/s"
    where = "Extrapolation beyond the tested loads" if law.is_extrapolated else "Fitted"
    return (
        f"{where}: by the Universal Scalability Law, throughput cannot exceed "
        f"{amount(round(law.limit_per_s))} {unit} ({amount(round(law.limit_low_per_s))} to "
        f"{amount(round(law.limit_high_per_s))} leaving one step out); residuals of the "
        f"fit are at most {worst:.1%} of the highest throughput."
    )


def cell_lines(cell: Cell) -> list[str]:
    """Return a search's result as lines for a terminal."""
    lines = [
        f"capacity{fixed_text(cell)}: {capacity_text(cell)}",
        *(result_text(cell), knee_text(cell), law_text(cell)),
    ]
    lines += [
        f"headroom: {one.ratio:.3g} times the reference load's "
        f"{load_text(one.axis, one.reference)} ({one.moment})"
        for one in cell.headroom
    ]
    return [plain(line) for line in lines]


def fixed_text(cell: Cell) -> str:
    """Return the fixed loads of a search, to be appended to a sentence."""
    parts = [load_text(axis, load) for axis, load in cell.fixed.items()]
    return f" with {', '.join(parts)}" if parts else ""


def cell_name(cell: Cell) -> str:
    """Return the fixed loads of a search; empty without a grid."""
    return fixed_text(cell).removeprefix(" with ")


def steps_table(cell: Cell, number: int) -> Table:
    """Return every step, ordered by load, with the folder of its run."""
    heading = cell.axis.title.capitalize() + cell.axis.unit
    steps = sorted(cell.steps, key=lambda one: (one.load, one.run))
    rows = [{heading: amount(one.load), **_step_row(one)} for one in steps]
    meanings = (
        *("", "", "", "", "offered", "deliveries.per_s_mean", "deliveries.ratio"),
        *("fan_out_latency_ms", "fan_out_latency_ms", "joins.latency_ms", "backlog"),
    )
    note = (
        "Offered is messages × subscribers, in deliveries/s. Growth is the increase of latency per "
        "second: a backlog where it is significant and at least 10 ms."
    )
    if any(step.clock_error_ms for step in cell.steps):
        note += f" {explanation('step')}."
    title = f"Steps{fixed_text(cell)}"
    return table_of(f"steps-{number}", title, note, rows, texts=4, meanings=meanings)


def _step_row(step: SweepStep) -> dict[str, TableCell | str]:
    mark, tone = _LOOKS[step.answer]
    growth = step.growth_ms_per_s
    return {
        "System": TableCell(f"{mark} {ANSWER_WORDS[step.answer]}", tone=tone),
        "Reason": step.reason,
        "Run": step.run,
        "Offered": _rate(step.offered_per_s),
        "Arrived": _rate(step.achieved_per_s),
        "Delivered": q.percent(step.delivery_ratio),
        "Fan-out p50": fan_out(step.fan_out_p50_ms, step),
        "p99": fan_out(step.fan_out_p99_ms, step),
        "Join p99": q.milliseconds(step.join_p99_ms),
        "Growth": q.MISSING if growth is None else f"{growth:+.1f}{q.THIN}ms/s",
    }


def _rate(value: float | None) -> str:
    return q.rate(value if value is None else round(value))


def capacities_table(cells: Sequence[Cell]) -> Table:
    """Return the capacity of every search of a grid."""
    rows: list[Row] = [
        {
            "With": cell_name(one),
            "Capacity": TableCell(capacity_text(one), tone=VERDICTS[one.exit_code]),
            "Knee": load_text(one.axis, one.knee.load if one.knee else None),
            "Deliveries offered at capacity": _rate(
                one.at_capacity.offered_per_s if one.at_capacity else None
            ),
        }
        for one in cells
    ]
    meanings = ("", "capacity", "knee", "offered")
    title = "Capacity over the grid"
    return table_of("capacities", title, "", rows, texts=3, meanings=meanings)


def headroom_table(cell: Cell, number: int) -> Table:
    """Return the capacity relative to the reference load."""
    rows: list[Row] = [
        {
            "Load": f"{one.axis.title}{one.axis.unit}".capitalize(),
            "Moment": one.moment,
            "Capacity": load_text(one.axis, one.capacity),
            "Reference load": load_text(one.axis, one.reference),
            "Headroom": TableCell(f"{one.ratio:.3g} ×", tone="pass" if one.ratio >= 1 else "fail"),
        }
        for one in cell.headroom
    ]
    note = "Capacity ÷ reference load. Below 1, the system does not carry the reference load."
    title = f"Headroom{fixed_text(cell)}"
    meanings = ("", "", "capacity", "headroom", "headroom")
    return table_of(f"headroom-{number}", title, note, rows, texts=2, meanings=meanings)


def law_table(cell: Cell, number: int) -> Table:
    """Return the points of the fit with their residuals."""
    law = cell.law
    highest = max(law.throughput_per_s)
    rows = [
        {
            "Concurrency": q.figure(work),
            "Measured": q.rate(round(rate)),
            "By the law": q.rate(round(rate - residual * highest)),
            "Residual": f"{residual:+.2%}",
        }
        for work, rate, residual in sorted(
            zip(law.at_once, law.throughput_per_s, law.residual_ratios, strict=True)
        )
    ]
    note = (
        f"α (contention) {law.alpha:.3g}, β (coherency) {law.beta:.3g}, γ {law.gamma:,.0f}/s. "
        "Concurrency is throughput × mean time in the system (Little's law). Residuals are "
        "relative to the highest throughput."
    )
    title = f"Universal Scalability Law{fixed_text(cell)}"
    meanings = ("", *["law"] * 3)
    return table_of(f"law-{number}", title, note, rows, meanings=meanings)
