"""The tables of a cost comparison, for the terminal and the page."""

import math
from collections.abc import Mapping, Sequence

from harness.analysis.decide.cost_study import Alternative, Bill, BreakEven, Case, CostStudy, Step
from harness.analysis.run.cost import RunCost
from harness.core.pricing import Day, Line, economics_of, priced_systems, step_bytes_of
from harness.core.system import system_named
from harness.report import formatting as q
from harness.report.table_cells import Cell, Row, Table, table_of


def lines_table(bill: Bill) -> str:
    """Return the name of the table with the lines of a bill."""
    return f"{bill.system}-{bill.users:.0f}"


def cost_tables(study: CostStudy, runs: Sequence[RunCost] = ()) -> list[Table]:
    """Return every table of a comparison, totals first."""
    return [
        *(_run(run, number) for number, run in enumerate(runs, 1)),
        _totals(study),
        _open_questions(study.cases),
        _idle(study),
        _break_evens(study.break_evens),
        _grid(study.grid),
        _steps(
            "coalescing",
            "Batched messages",
            "Messages published within a window are sent as one event; a message waits up to one "
            "window.",
            study.coalescing,
        ),
        _steps("sizes", "Event sizes", _metering(), study.sizes),
        *(_lines(bill, case.title, study) for case in study.cases for bill in case.bills),
    ]


def _run(run: RunCost, number: int) -> Table:
    units = _units(run.system)
    rows = [
        [
            Cell(_words(name)),
            Cell(units.get(name, q.MISSING)),
            Cell(q.amount(count)),
            Cell(q.amount(run.billed[name]) if name in run.billed else q.MISSING),
        ]
        for name, count in run.operations.items()
    ]
    cost = f"{q.money(run.usd_run)} for the run"
    day = f"{q.money(run.usd_day_at_reference)} for a day at the reference load"
    damage = f" The record is damaged: {'; '.join(run.problems)}." if run.problems else ""
    return Table(
        f"run-{number}",
        f"Run {run.folder} on {run.system}",
        f"{cost}, {day}.{damage}",
        ["used", "unit", "measured", "billed by the emulator"],
        rows,
        texts=2,
        meanings=("", "", "used", "billed"),
    )


def _metering() -> str:
    """Return the step sizes by which systems count an event."""
    steps = (
        f"{step_bytes // 1024} KB on {system_named(name).title}"
        for name, economics in priced_systems().items()
        if (step_bytes := step_bytes_of(economics))
    )
    return f"An event counts once per started step of its size: {', '.join(steps)}."


def _units(system: str) -> Mapping[str, str]:
    """Return what the lines of a system's bills count."""
    economics = economics_of(system)
    lines = economics.bill(Day().usage()) if economics else ()
    return {line.name: line.price.unit for line in lines}


def _totals(study: CostStudy) -> Table:
    everyone, chatters, polling = study.cases
    chatters_usd = {bill.name: bill.usd for bill in chatters.bills}
    of_chatters = {bill.name: lines_table(bill) for bill in chatters.bills}
    (viewers,) = polling.bills
    rows = [
        [
            Cell(bill.name),
            Cell(q.money(bill.usd), link=lines_table(bill)),
            Cell(q.money(chatters_usd.get(bill.name)), link=of_chatters.get(bill.name, "")),
            Cell(q.money(study.hybrids.get(bill.name)), link=of_chatters.get(bill.name, "")),
            Cell(q.money(study.idle[bill.name]), link=lines_table(bill)),
        ]
        for bill in everyone.bills
    ]
    note = (
        f"USD per day for {q.count(study.day.messages)} messages. Hybrid: chatters connected, "
        f"{q.count(viewers.users)} viewers polling every {study.day.poll_interval_s:g} s for "
        f"{q.money(viewers.usd)}. Idle: no user connected all day."
    )
    # Both numbers may be the same, so the headings are no keys.
    connected, writing = (q.count(case.bills[0].users) for case in (everyone, chatters))
    columns = ["system", f"{connected} connected", f"{writing} connected", "hybrid", "idle"]
    return Table("totals", "A day", note, columns, rows)


def _idle(study: CostStudy) -> Table:
    """Return the cost of a day without users: which systems scale to zero."""
    rows = [
        {"system": bill.name, "line": _words(line.name), **_amounts(line)}
        for bill in study.idle_bills
        for line in _standing_lines(bill, study.flipped)
    ]
    nothing = dict.fromkeys(("formula", "price", "quantity"), q.MISSING)
    rows += [
        {"system": bill.name, "line": "nothing", **nothing, "USD per day": q.money(0.0)}
        for bill in study.idle_bills
        if not _standing_lines(bill, study.flipped)
    ]
    note = "A day without users and messages; provisioned servers keep running."
    meanings = ("", "", "", "", "quantity", "line")
    return table_of("idle", "Idle day", note, rows, texts=4, meanings=meanings)


def _standing_lines(bill: Bill, flipped: Sequence[str]) -> list[Line]:
    return [line for line in bill.lines if line.usd and line.counts(flipped)]


def _open_questions(cases: Sequence[Case]) -> Table:
    rows: list[Row] = [
        {
            "system": bill.name,
            "question": each.question,
            "name": each.switch,
            "users": q.count(bill.users),
            "as counted": Cell(q.money(bill.usd), link=lines_table(bill)),
            "alternative": Cell(q.money(each.usd), link=lines_table(bill)),
            "change": Cell(_change(bill.usd, each.usd), link=lines_table(bill)),
        }
        for bill, each in by_effect([bill for case in cases for bill in case.bills])
    ]
    return table_of(
        "switches",
        "Assumptions, with both values",
        "The answer depends on the team, or the price list is ambiguous. Those that change a cost "
        "by the largest factor come first. --flip NAME selects the alternative.",
        rows,
        texts=3,
        meanings=("", "", "", "users_billed"),
    )


def by_effect(bills: Sequence[Bill]) -> list[tuple[Bill, Alternative]]:
    """Return all assumptions of bills, those that change a cost by the largest factor first."""
    pairs = [(bill, each) for bill in bills for each in bill.alternatives]
    return sorted(pairs, key=lambda pair: _factor(pair[0].usd, pair[1].usd), reverse=True)


def _factor(usd: float, other_usd: float) -> float:
    low, high = sorted((usd, other_usd))
    if not high:
        return 1.0
    return high / low if low else math.inf


def _change(usd: float, other_usd: float) -> str:
    return f"{100 * (other_usd / usd - 1):+,.3g}{q.THIN}%" if usd else q.MISSING


def _break_evens(found: Sequence[BreakEven]) -> Table:
    rows = [
        {
            "between": each.question,
            "at": q.MISSING if each.at is None else f"{q.figure(each.at)} {each.unit}",
            "cheaper above it": each.cheaper_above,
        }
        for each in found
    ]
    note = "Without such a point, one system is cheaper throughout."
    meanings = ("", "break_even")
    return table_of("break-even", "Break-even points", note, rows, meanings=meanings)


def _grid(steps: Sequence[Step]) -> Table:
    rows = [{"a day of": step.choice} | _usd(step) for step in steps]
    note = "Cost over users and messages: it is proportional to their product where deliveries are "
    note += "billed, and nearly independent of messages where servers or requests are billed."
    meanings = ("", *["usd_day"] * len(steps[0].usd))
    return table_of("grid", "Users and messages", note, rows, meanings=meanings)


def _steps(name: str, title: str, note: str, steps: Sequence[Step]) -> Table:
    rows = [
        {
            "choice": step.choice,
            "events a day": q.count(step.events),
            "bytes": q.count(step.event_bytes),
            **_usd(step),
        }
        for step in steps
    ]
    meanings = ("", *["travel_together"] * 2, *["usd_day"] * len(steps[0].usd))
    return table_of(name, title, note, rows, meanings=meanings)


def _usd(step: Step) -> dict[str, str]:
    return {system: q.money(usd) for system, usd in step.usd.items()}


def _lines(bill: Bill, case: str, study: CostStudy) -> Table:
    rows = [_line(line, study.flipped) for line in bill.lines]
    note = (
        f"{case}: {q.count(bill.users)} users, {q.count(study.day.messages)} messages, "
        f"{q.money(bill.usd)} a day. Months of 30 days where a price changes with volume."
    )
    return table_of(
        lines_table(bill),
        f"{bill.name}: {case.lower()}",
        note,
        rows,
        texts=4,
        meanings=("", "", "", "", "quantity", "line"),
    )


def _line(line: Line, flipped: Sequence[str]) -> dict[str, str]:
    switch = "" if line.switch is None else line.switch.name
    counted = "" if line.counts(flipped) else f" (not counted: {switch})"
    source = f"{line.price.source}, {line.price.region}, {line.price.as_of}"
    return {"line": _words(line.name) + counted, **_amounts(line, source=source)}


def _amounts(line: Line, **more: str) -> dict[str, str]:
    return {
        "formula": line.formula,
        "price": str(line.price),
        **more,
        "quantity": q.amount(line.quantity),
        "USD per day": q.money(line.usd),
    }


def _words(name: str) -> str:
    return name.replace("_", " ")
