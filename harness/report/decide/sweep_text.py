"""A sweep in sentences and tables, for the terminal and the page."""

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
from harness.analysis.decide.sweep import Answer, SweepStep
from harness.core.exit_codes import ExitCode
from harness.report import formatting as q
from harness.report.clocks import explanation, quoted
from harness.report.table_cells import Cell as TableCell
from harness.report.table_cells import Table

if TYPE_CHECKING:
    from harness.scenario.axes import Axis

ANSWER_WORDS: Final = {
    Answer.HELD: "held",
    Answer.BROKE: "broke",
    Answer.NONE: "generator broke",
}
TONES: Final = {Answer.HELD: "pass", Answer.BROKE: "fail", Answer.NONE: "invalid"}
VERDICT_OF: Final = {
    ExitCode.PASS: "pass",
    ExitCode.SLO_FAILED: "fail",
    ExitCode.RUN_INVALID: "invalid",
}
"""The tone of an answer, by its exit code."""
MARKS: Final = {Answer.HELD: "✓", Answer.BROKE: "✕", Answer.NONE: "!"}


def load_words(axis: "Axis", load: float | None) -> str:
    """Return a load with what it counts: "1,900 deliveries/s", "300 subscribers"."""
    return q.MISSING if load is None else f"{amount(load)} {axis.title}{axis.unit}"


def amount(load: float | None) -> str:
    """Return a load's figure alone, with the digits that matter."""
    if load is None:
        return q.MISSING
    return f"{load:,.0f}" if load >= 1000 or load == int(load) else f"{load:,.5g}"  # noqa: PLR2004 - digits that matter


def step_line(step: SweepStep, axis: "Axis") -> str:
    """Return one step on one line."""
    seen = latency_ms(step, axis)
    told = f"join p99 {q.milliseconds(seen)}"
    if not axis.is_of_joins:
        told = f"fan-out p99 {fan_out(seen, step)}"
    parts = [load_words(axis, step.load), ANSWER_WORDS[step.answer]]
    parts += [plain(told)] if seen is not None else []
    parts += [step.reason] if step.reason else []
    return ", ".join(parts)


def fan_out(value_ms: float | None, step: SweepStep) -> str:
    """Return a step's fan-out latency, or that it was no longer than the clocks' error."""
    return quoted("fan_out_latency_ms", value_ms, step.clock_error_ms)


def plain(text: str) -> str:
    """Return a text without the thin spaces of a page, which terminals draw badly."""
    return text.replace(q.THIN, " ")


def capacity_words(cell: Cell) -> str:
    """Return the answer in as few words as it takes."""
    low = load_words(cell.axis, cell.bracket.low)
    if cell.result == FOUND:
        return low
    return f"at least {low}" if cell.bracket.low is not None else "no load held"


def tell(cell: Cell) -> str:
    """Return the answer, how fine it is, and what it does not say."""
    low, high, _ = cell.bracket
    axis = cell.axis
    if cell.result == FOUND:
        assert low is not None  # noqa: S101 - found means both
        assert high is not None  # noqa: S101 - as above
        size = f"{100 * (high / low - 1):.1f}{q.THIN}%"
        found = f"Every objective held at {load_words(axis, low)} and not at "
        found += f"{load_words(axis, high)}, a step of {size}."
        rest = "" if cell.is_settled else " The steps ran out before it was as fine as asked for."
        return found + rest + _cause(cell)
    if cell.result == AT_LEAST_GENERATOR:
        return (
            f"The system held at {load_words(axis, low)}. At {load_words(axis, high)} the load "
            "generator itself failed, so this is a lower bound: where the system breaks is not "
            f"known.{_cause(cell)}"
        )
    if cell.result == AT_LEAST_MOST:
        reason = "the highest load that was asked for, or that this machine can make"
        if low is not None and low < cell.search.most:
            reason = "where the steps ended"
        return f"Every objective held up to {load_words(axis, low)}, {reason}: a lower bound."
    if cell.result == NONE_HELD:
        return f"No load held, down to {load_words(axis, high)}.{_cause(cell)}"
    return f"Nothing was measured: the load generator failed at every load.{_cause(cell)}"


def _cause(cell: Cell) -> str:
    """Return what went wrong at the lowest load that did not hold."""
    failed = [one for one in cell.steps if one.load == cell.bracket.high and one.reason]
    return f" There: {failed[-1].reason}." if failed else ""


def tell_knee(cell: Cell) -> str:
    """Return where latency bends, and how sure that is."""
    if cell.knee is None:
        return "No knee: latency does not bend over the loads tested, or they are fewer than five."
    low, high = amount(cell.knee.low), amount(cell.knee.high)
    return (
        f"Latency begins to bend at {load_words(cell.axis, cell.knee.load)} "
        f"(Kneedle; between {low} and {high})."
    )


def tell_law(cell: Cell) -> str:
    """Return what the Universal Scalability Law says, marked where it leaves what was tested."""
    law = cell.law
    if law.refusal:
        return f"The Universal Scalability Law was not fitted: {law.refusal}."
    worst = max(abs(one) for one in law.residual_ratios)
    unit = "joins/s" if cell.axis.is_of_joins else "deliveries/s"
    where = "Extrapolation, beyond every load tested" if law.is_extrapolated else "Fitted"
    return (
        f"{where}: by the Universal Scalability Law throughput cannot pass "
        f"{amount(round(law.limit_per_s))} {unit} ({amount(round(law.limit_low_per_s))} to "
        f"{amount(round(law.limit_high_per_s))} with one step left out); the fit is "
        f"off by at most {worst:.1%} of the highest throughput."
    )


def tell_cell(cell: Cell) -> list[str]:
    """Return a search's result as lines for a terminal."""
    lines = [f"capacity{fixed_words(cell)}: {capacity_words(cell)}", tell(cell), tell_knee(cell)]
    lines.append(tell_law(cell))
    lines += [
        f"headroom: {one.ratio:.3g} times the reference load's "
        f"{load_words(one.axis, one.reference)} ({one.moment})"
        for one in cell.headroom
    ]
    return [plain(line) for line in lines]


def fixed_words(cell: Cell) -> str:
    """Return what sets a search apart from the grid's others, as an end of a sentence."""
    parts = [load_words(axis, load) for axis, load in cell.fixed.items()]
    return f" with {', '.join(parts)}" if parts else ""


def cell_name(cell: Cell) -> str:
    """Return what sets a search apart from the grid's others; empty without a grid."""
    return fixed_words(cell).removeprefix(" with ")


def steps_table(cell: Cell, number: int) -> Table:
    """Return every step in the order of its load, with where its own report is."""
    rows = [_step_row(one) for one in sorted(cell.steps, key=lambda one: (one.load, one.run))]
    columns = [
        cell.axis.title.capitalize() + cell.axis.unit,
        *("System", "Why", "Run", "Offered", "Arrived", "Delivered", "Fan-out p50", "p99"),
        *("Join p99", "Growth"),
    ]
    meanings = (
        *("", "", "", "", "offered", "deliveries.per_s_mean", "deliveries.ratio"),
        *("fan_out_latency_ms", "fan_out_latency_ms", "joins.latency_ms", "backlog"),
    )
    note = (
        "Offered is messages × subscribers, in deliveries a second. Growth is by how much latency "
        "rose each second: a backlog where it is clear and at least 10 ms."
    )
    if any(step.clock_error_ms for step in cell.steps):
        note += f" {explanation('step')}."
    title = f"Steps{fixed_words(cell)}"
    return Table(f"steps-{number}", title, note, columns, rows, texts=4, meanings=meanings)


def _step_row(step: SweepStep) -> list[TableCell]:
    tone = TONES[step.answer]
    growth = step.growth_ms_per_s
    return [
        TableCell(amount(step.load)),
        TableCell(f"{MARKS[step.answer]} {ANSWER_WORDS[step.answer]}", tone=tone),
        TableCell(step.reason),
        TableCell(step.run),
        TableCell(_rate(step.offered_per_s)),
        TableCell(_rate(step.achieved_per_s)),
        TableCell(q.percent(step.delivery_ratio)),
        TableCell(fan_out(step.fan_out_p50_ms, step)),
        TableCell(fan_out(step.fan_out_p99_ms, step)),
        TableCell(q.milliseconds(step.join_p99_ms)),
        TableCell(q.MISSING if growth is None else f"{growth:+.1f}{q.THIN}ms/s"),
    ]


def _rate(value: float | None) -> str:
    return q.rate(value if value is None else round(value))


def capacities_table(cells: Sequence[Cell]) -> Table:
    """Return the capacity of every search of a grid."""
    rows = [
        [
            TableCell(cell_name(one)),
            TableCell(capacity_words(one), tone=VERDICT_OF[one.exit_code]),
            TableCell(q.MISSING if one.knee is None else load_words(one.axis, one.knee.load)),
            TableCell(_rate(one.at_capacity.offered_per_s if one.at_capacity else None)),
        ]
        for one in cells
    ]
    columns = ["With", "Capacity", "Knee", "Deliveries offered there"]
    meanings = ("", "capacity", "knee", "offered")
    title = "Capacity over the grid"
    return Table("capacities", title, "", columns, rows, texts=3, meanings=meanings)


def headroom_table(cell: Cell, number: int) -> Table:
    """Return the capacity beside the reference load."""
    rows = [
        [
            TableCell(f"{one.axis.title}{one.axis.unit}".capitalize()),
            TableCell(one.moment),
            TableCell(load_words(one.axis, one.capacity)),
            TableCell(load_words(one.axis, one.reference)),
            TableCell(f"{one.ratio:.3g} ×", tone="pass" if one.ratio >= 1 else "fail"),
        ]
        for one in cell.headroom
    ]
    columns = ["Load", "When", "Capacity", "Reference load", "Headroom"]
    note = "Capacity ÷ reference load; below 1 this system, as it was tested, does not carry it."
    title = f"Headroom{fixed_words(cell)}"
    meanings = ("", "", "capacity", "headroom", "headroom")
    return Table(f"headroom-{number}", title, note, columns, rows, texts=2, meanings=meanings)


def law_table(cell: Cell, number: int) -> Table:
    """Return the points of the fit with their residuals."""
    law = cell.law
    highest = max(law.throughput_per_s)
    rows = [
        [
            TableCell(q.figure(work)),
            TableCell(q.rate(round(rate))),
            TableCell(q.rate(round(rate - residual * highest))),
            TableCell(f"{residual:+.2%}"),
        ]
        for work, rate, residual in sorted(
            zip(law.at_once, law.throughput_per_s, law.residual_ratios, strict=True)
        )
    ]
    columns = ["At once", "Measured", "By the law", "Residual"]
    note = (
        f"α (contention) {law.alpha:.3g}, β (agreement) {law.beta:.3g}, γ {law.gamma:,.0f}/s. At "
        "once is throughput × mean time in the system, by Little's law. Residuals are shares of "
        "the highest throughput."
    )
    title = f"Universal Scalability Law{fixed_words(cell)}"
    meanings = ("", *["law"] * 3)
    return Table(f"law-{number}", title, note, columns, rows, meanings=meanings)
