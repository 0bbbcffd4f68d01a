"""The result: rows with their limits, as a table for people and as JSON for machines."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

RATIO = "ratio"
_FEWEST = 2
_WITHOUT_DECIMALS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of the benchmark.

    Attributes:
        name: Stable name, for machines.
        title: What it is, for people.
        unit: ``ratio`` where both sides were measured in this run, else the unit of the value.
        value: None where it could not be measured.
        limit: Highest value that is good enough, or lowest; None where nothing is promised.
        spread: What half of the measurements behind the value lie between, or the value less and
            plus its standard error; None where there was one measurement.
        missing: Why there is no value; empty where there is one.
        details: Where the value comes from; plain JSON values.
        at_least: Whether the limit is the lowest value that is good enough.
        note: What else is to be known of how the value came about, in a few words.
    """

    name: str
    title: str
    unit: str
    value: float | None = None
    limit: float | None = None
    spread: tuple[float, float] | None = None
    missing: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    at_least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value is within its limit; None where either is missing."""
        if self.value is None or self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def bound(self) -> str | None:
        """How the limit is to be read; None where there is none."""
        if self.limit is None:
            return None
        return "at least" if self.at_least else "at most"


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two instants of steady load, or of none.

    Attributes:
        seconds: Length.
        deliveries: Deliveries that the sender counted.
        receiver_cpu_ns: CPU of all processes of the receiver, user and system.
        sender_cpu_ns: The same of the sender.
    """

    seconds: float
    deliveries: int
    receiver_cpu_ns: int
    sender_cpu_ns: int


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU per delivery of one receiver or sender, with what it uses when idle taken off.

    Attributes:
        net_us: One value a window, in the order of the rounds, in µs.
        idle_ms_per_s: CPU while nothing is sent.
        deliveries: All deliveries of the windows.
    """

    net_us: tuple[float, ...]
    idle_ms_per_s: float
    deliveries: int

    @property
    def median_us(self) -> float:
        """The middle one of the windows."""
        return median(self.net_us)

    def as_details(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "us_per_delivery": round(self.median_us, 3),
            "us_per_delivery_by_round": [round(value, 3) for value in self.net_us],
            "idle_ms_per_s": round(self.idle_ms_per_s, 3),
            "deliveries": self.deliveries,
        }


def cost(windows: Sequence[Window], idle: Window, *, sender: bool = False) -> Cost:
    """Return what a delivery costs the receiver, or the sender.

    Args:
        windows: Under load, at least one, each with deliveries.
        idle: As connected, but with nothing sent.
        sender: Which side.
    """

    def cpu_ns(window: Window) -> int:
        return window.sender_cpu_ns if sender else window.receiver_cpu_ns

    idle_ns_per_s = cpu_ns(idle) / idle.seconds
    net_us = tuple(
        (cpu_ns(window) - idle_ns_per_s * window.seconds) / window.deliveries / 1e3
        for window in windows
    )
    return Cost(net_us, idle_ns_per_s / 1e6, sum(window.deliveries for window in windows))


def paired_ratios(ours: Cost, other: Cost) -> list[float]:
    """Return ours ÷ the other's, round by round; both were measured in each."""
    pairs = zip(ours.net_us, other.net_us, strict=True)
    return [mine / theirs for mine, theirs in pairs]


def middle_half(values: Sequence[float]) -> tuple[float, float] | None:
    """Return between what the middle half of values lies; None for less than two of them."""
    if len(values) < _FEWEST:
        return None
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def ratio_row(
    name: str, title: str, ours: Cost | str, other: Cost | str, limit: float | None
) -> Row:
    """Return the row of one comparison; a side that is a string says why it is missing."""
    for side in (ours, other):
        if isinstance(side, str):
            return Row(name, title, RATIO, limit=limit, missing=side)
    assert isinstance(ours, Cost)  # noqa: S101  for the type checker
    assert isinstance(other, Cost)  # noqa: S101
    details = {"ours": ours.as_details(), "other": other.as_details()}
    ratios = paired_ratios(ours, other)
    return Row(
        *(name, title, RATIO, median(ratios), limit), spread=middle_half(ratios), details=details
    )


def not_measured(rows: Sequence[Row], unavailable: Collection[str]) -> list[Row]:
    """Return the ratios that could have been measured and were not.

    Args:
        rows: All of them.
        unavailable: Reasons for which a ratio may be missing: a tool is not available.
    """
    return [
        row for row in rows if row.unit == RATIO and row.missing and row.missing not in unavailable
    ]


def as_json(rows: Sequence[Row], machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows, and the machine as the last of them, as plain JSON values."""
    listed: list[dict[str, Any]] = [
        {
            "name": row.name,
            "title": row.title,
            "value": None if row.value is None else round(row.value, 4),
            "unit": row.unit,
            "limit": None if row.limit is None else round(row.limit, 4),
            "bound": row.bound,
            "holds": row.holds,
            "spread": row.spread and [round(end, 4) for end in row.spread],
            "missing": row.missing or None,
            "note": row.note or None,
            "details": dict(row.details),
        }
        for row in rows
    ]
    described = f"{machine.get('cpus')} CPUs, {machine.get('os')}, {machine.get('python')}"
    listed.append(
        {
            "name": "machine",
            "title": "where this was measured",
            "value": described,
            "unit": "",
            "limit": None,
            "bound": None,
            "holds": None,
            "spread": None,
            "missing": None,
            "note": None,
            "details": dict(machine),
        }
    )
    return listed


def write_json(rows: Sequence[Row], machine: Mapping[str, Any], file: Path) -> None:
    """Write the result, making its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(rows, machine), indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def as_text(rows: Sequence[Row]) -> str:
    """Return the table: title, value, spread, limit, whether it holds; or why it is missing."""
    cells = [("what", "value", "spread", "limit", ""), *map(_cells, rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(4)]
    lines = [
        "  ".join(
            (
                f"{title:<{widths[0]}}",
                f"{value:>{widths[1]}}",
                f"{spread:>{widths[2]}}",
                f"{limit:>{widths[3]}}",
                remark,
            )
        ).rstrip()
        for title, value, spread, limit, remark in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    limit = " ".join(filter(None, (row.bound, _number(row.limit, row.unit))))
    if row.value is None:
        return row.title, "missing", "", limit, row.missing
    verdict = {True: "holds", False: "DOES NOT HOLD", None: ""}[row.holds]
    verdict = "; ".join(filter(None, (verdict, row.note)))
    spread = "" if row.spread is None else " to ".join(f"{end:.3g}" for end in row.spread)
    return row.title, _number(row.value, row.unit), spread, limit, verdict


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == RATIO:
        return f"{value:.3f} ×" if value < 1 else f"{value:.2f} ×"
    if value >= _WITHOUT_DECIMALS:
        return f"{value:,.0f} {unit}"
    return f"{value:.2f} {unit}"
