import json
from pathlib import Path

import pytest

from benchmarks.table import (
    RATIO,
    Cost,
    Row,
    Window,
    as_json,
    as_text,
    cost,
    middle_half,
    not_measured,
    ratio_row,
    write_json,
)
from benchmarks.tools import WITHOUT_TLS, Tools

MACHINE = {"cpus": 2, "os": "Linux-6.1", "python": "CPython 3.11"}


def window(deliveries: int, receiver_ms: float, sender_ms: float = 0.0, seconds: float = 2.0):
    return Window(seconds, deliveries, round(receiver_ms * 1e6), round(sender_ms * 1e6))


def test_cost_takes_idle_cpu_off_each_window() -> None:
    """10 ms/s when idle are 20 ms of a window of 2 s."""
    idle = window(0, receiver_ms=30.0, seconds=3.0)
    found = cost([window(1000, 25.0), window(1000, 28.0), window(2000, 30.0)], idle)
    assert (5.0, 8.0, 5.0) == found.net_us
    assert 5.0 == found.median_us
    assert 10.0 == found.idle_ms_per_s
    assert 4000 == found.deliveries


def test_cost_of_the_sender_ignores_the_receiver() -> None:
    """Both are measured in one window, and told apart."""
    assert (8.0,) == cost([window(1000, 25.0, 9.0)], window(0, 99.0, 1.0), sender=True).net_us


def test_paired_ratio_is_median_of_ratios_and_not_ratio_of_medians() -> None:
    """A round in which the machine was slow for both sides does not count more than others."""
    ours, other = Cost((4.0, 40.0, 6.0), 0.0, 3), Cost((2.0, 20.0, 2.0), 0.0, 3)
    row = ratio_row("a", "A", ours, other, 2.0)
    assert (2.0, (2.0, 2.5), True) == (row.value, row.spread, row.holds)


def test_paired_ratio_needs_both_sides_in_each_round() -> None:
    """Sides with a different number of rounds were not measured side by side."""
    with pytest.raises(ValueError, match="shorter"):
        ratio_row("a", "A", Cost((4.0, 4.0), 0.0, 2), Cost((2.0,), 0.0, 1), None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], None), ([1.0, 2.0], (1.25, 1.75)), ([5.0, 1.0, 2.0, 3.0, 4.0], (2.0, 4.0))],
)
def test_middle_half_leaves_out_a_quarter_on_each_side(values, expected) -> None:
    """One measurement has no spread."""
    assert expected == middle_half(values)


def test_ratio_may_be_missing_for_want_of_a_tool_alone() -> None:
    """A tool that is there and was not measured is a failure; what is no ratio is not asked for."""
    rows = [
        Row("m", "M", "KiB", missing="ended with 1"),
        Row("a", "A", RATIO, None, 0.5, missing="no npm"),
        Row("b", "B", RATIO, 0.3),
        Row("c", "C", RATIO, missing="3 of 400 connections joined in time"),
    ]
    assert ["c"] == [row.name for row in not_measured(rows, {"no npm"})]


def test_tools_that_are_missing_are_excuses() -> None:
    """Each with the reason that its rows carry, the floor's lack of TLS among them."""
    floor, nginx = Path("floor"), (Path("nginx"), Path("module"))
    tools = Tools(floor, True, "no k6", "no npm", "no pip", nginx, Path("tsung"))
    assert {"no k6", "no npm", "no pip"} == tools.reasons
    assert {WITHOUT_TLS} == Tools(floor, False, floor, floor, floor, nginx, floor).reasons


def test_ratio_row_names_why_a_side_is_missing() -> None:
    """A peer that could not be had is in the table, with the reason."""
    row = ratio_row("a", "A", Cost((1.0,), 0.0, 1), "npm is not installed", 0.5)
    assert Row("a", "A", RATIO, None, 0.5, missing="npm is not installed") == row
    assert row.holds is None


@pytest.mark.parametrize(
    ("value", "limit", "holds"),
    [(2.0, 2.0, True), (2.01, 2.0, False), (9.0, None, None), (None, 2.0, None)],
)
def test_row_holds_up_to_its_limit(value: float | None, limit: float | None, holds: bool | None):
    """Without a value or a limit there is nothing to hold."""
    assert holds == Row("a", "A", RATIO, value, limit).holds


@pytest.mark.parametrize(("value", "holds"), [(2.0, True), (1.99, False), (None, None)])
def test_row_that_wants_much_holds_from_its_limit_on(value: float | None, holds: bool | None):
    """For rates, of which more is better."""
    row = Row("a", "A", "1/s", value, 2.0, at_least=True)
    assert (holds, "at least") == (row.holds, row.bound)


def test_text_shows_each_row_with_its_verdict_or_its_reason() -> None:
    """Nothing is left out: not the missing, and not what fails."""
    rows = [
        Row("a", "good", RATIO, 0.125, 1 / 6, (0.1, 0.15)),
        Row("b", "bad", "KiB", 17.0, 16.0),
        Row("c", "told only", RATIO, 3.0),
        Row("d", "away", RATIO, None, 2.0, missing="no k6"),
        Row("e", "many", "1/s", 101_500.0, 100_000.0, at_least=True, note="exit code 0"),
    ]
    assert [
        "good 0.125 × 0.1 to 0.15 at most 0.167 × holds",
        "bad 17.00 KiB at most 16.00 KiB DOES NOT HOLD",
        "told only 3.00 ×",
        "away missing at most 2.00 × no k6",
        "many 101,500 1/s at least 100,000 1/s holds; exit code 0",
    ] == [" ".join(line.split()) for line in as_text(rows).splitlines()[2:]]


def test_json_lists_every_row_and_the_machine(tmp_path: Path) -> None:
    """Each entry has name, value, unit, limit and holds; the last one is the machine."""
    file = tmp_path / "results" / "latest.json"
    write_json([Row("a", "A", RATIO, 1.5, 2.0), Row("b", "B", "ms", missing="no")], MACHINE, file)
    listed = json.loads(file.read_text(encoding="utf-8"))
    found = [
        [entry[key] for key in ("name", "value", "unit", "limit", "holds")] for entry in listed
    ]
    assert [
        ["a", 1.5, "ratio", 2.0, True],
        ["b", None, "ms", None, None],
        ["machine", "2 CPUs, Linux-6.1, CPython 3.11", "", None, None],
    ] == found
    assert "no" == listed[1]["missing"]
    assert MACHINE == listed[2]["details"]


def test_json_rounds_values_without_changing_the_verdict() -> None:
    """The verdict is that of the value measured, not of the one printed."""
    (entry, _) = as_json([Row("a", "A", RATIO, 2.00001, 2.0)], MACHINE)
    assert (2.0, False) == (entry["value"], entry["holds"])
