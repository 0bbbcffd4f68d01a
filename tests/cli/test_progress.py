import io
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.cli.progress import (
    JournalTail,
    Progress,
    ProgressDisplay,
    plain_line,
    run_warnings,
    table,
)


def row(second: int, user_class: str = "subscriber", **values: object) -> dict[str, object]:
    defaults: dict[str, object] = {
        "second": second,
        "phase": "measure",
        "user_class": user_class,
        "connected": 900,
        "joins_succeeded": 0,
        "joins_failed": 0,
        "publishes_sent": 0,
        "deliveries": 3600,
        "fan_out_latency_ms_p50": 2.0,
        "fan_out_latency_ms_p99": 41.25,
        "errors": 0,
    }
    return defaults | values


def quickstart() -> Progress:
    return Progress("quickstart on emulator", 30.0, {"subscriber": 900, "chatter": 100})


def write_rows(folder: Path, *rows: dict[str, object]) -> None:
    journal = folder / "journal"
    journal.mkdir(exist_ok=True)
    with (journal / "timeline.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in rows)


def shown(display: ProgressDisplay, console: Console) -> str:
    display.update()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_absent_journal_has_no_rows(tmp_path: Path) -> None:
    """A run that has not written anything yet is waited for, not an error."""
    assert [] == JournalTail(tmp_path / "timeline.jsonl").new_rows()


def test_rows_are_returned_once(tmp_path: Path) -> None:
    """Each look returns only what was added since the last one."""
    write_rows(tmp_path, row(0))
    tail = JournalTail(tmp_path / "journal" / "timeline.jsonl")
    assert [row(0)] == tail.new_rows()
    assert [] == tail.new_rows()
    write_rows(tmp_path, row(1))
    assert [row(1)] == tail.new_rows()


def test_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    """Half a line is left alone until the rest of it is there."""
    file = tmp_path / "timeline.jsonl"
    text = json.dumps(row(7)).encode() + b"\n"
    tail = JournalTail(file)
    file.write_bytes(text[:10])
    assert [] == tail.new_rows()
    file.write_bytes(text)
    assert [row(7)] == tail.new_rows()


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(min_value=1, max_value=9))
def test_any_bytes_give_rows_or_nothing(lines: list[bytes], step: int) -> None:
    """Whatever the journal holds and however it grows, reading it raises nothing."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "timeline.jsonl"
        tail = JournalTail(file)
        text = b"\n".join(lines) + b'\n{"second": 1}\n'
        rows = []
        for end in range(0, len(text) + step, step):
            file.write_bytes(text[:end])
            rows += tail.new_rows()
    assert {"second": 1} == rows[-1]
    assert all(isinstance(each, dict) for each in rows)


def test_rates_are_of_the_last_second_and_totals_add_up() -> None:
    """Rates show the last second; failures and errors count from the start."""
    progress = quickstart()
    progress.add(row(0, joins_succeeded=200, joins_failed=1, errors=1))
    progress.add(row(1, joins_succeeded=150, joins_failed=2, errors=2, deliveries=5))
    subscribers = progress.classes["subscriber"]
    assert (150, 3, 3, 5) == (
        subscribers.joins_per_s,
        subscribers.joins_failed,
        subscribers.errors,
        subscribers.deliveries_per_s,
    )
    assert (2, 28.0) == (progress.done_s, progress.left_s)


def test_plain_line_adds_classes_and_takes_the_slower_percentile() -> None:
    """Counts of both classes are added; percentiles are never averaged, the slower one shows."""
    progress = quickstart()
    progress.add(row(11))
    progress.add(row(11, "chatter", connected=100, deliveries=400, fan_out_latency_ms_p99=12.0))
    expected = (
        "12 s of 30 s | measure | 1,000 of 1,000 connected | 4,000 deliveries/s"
        " | fan-out p99 41.2 ms | 0 errors"
    )
    assert expected == plain_line(progress)


def test_plain_line_before_the_first_second_says_starting() -> None:
    """Before the journal has a row nothing is claimed but that the run is starting."""
    expected = (
        "0 s of 30 s | starting | 0 of 1,000 connected | 0 deliveries/s | fan-out p99 - | 0 errors"
    )
    assert expected == plain_line(quickstart())


def test_after_the_last_second_the_report_is_being_written() -> None:
    """When the timetable is over and the process is not, the report is in the making."""
    progress = quickstart()
    progress.add(row(29, phase="drain"))
    assert ("writing the report", 0.0) == (progress.stage, progress.left_s)


def test_time_of_a_run_never_passes_its_end() -> None:
    """Closing connections takes seconds that the plan does not count."""
    progress = quickstart()
    progress.add(row(31, phase="drain"))
    assert plain_line(progress).startswith("30 s of 30 s | writing the report | ")


def test_stopping_run_says_how_to_end_it_at_once() -> None:
    """Who pressed Ctrl-C sees that it was heard."""
    progress = quickstart()
    progress.add(row(3))
    progress.stopping = True
    assert " | stopping (a second Ctrl-C kills it) | " in plain_line(progress)


def test_without_a_terminal_there_is_a_line_every_five_seconds(tmp_path: Path) -> None:
    """A CI log gets the first second, then one line each five seconds of the run."""
    console = Console(file=io.StringIO(), width=200)
    with ProgressDisplay(quickstart(), tmp_path, console) as display:
        text = ""
        for second in range(12):
            write_rows(tmp_path, row(second))
            text = shown(display, console)
    assert ["1 s", "6 s", "11 s"] == [line.split(" of ")[0] for line in text.splitlines()]


def test_without_a_terminal_a_new_phase_is_a_line(tmp_path: Path) -> None:
    """A change of phase shows at once, whatever second it comes in."""
    console = Console(file=io.StringIO(), width=200)
    with ProgressDisplay(quickstart(), tmp_path, console) as display:
        write_rows(tmp_path, row(0, phase="warm_up"))
        display.update()
        write_rows(tmp_path, row(1))
        lines = shown(display, console).splitlines()
    assert ["warm-up", "measure"] == [line.split(" | ")[1] for line in lines]


def test_on_a_terminal_there_is_a_table_with_a_column_for_each_class(tmp_path: Path) -> None:
    """The live table shows both classes beside each other, and what the run warned of."""
    warning = {"code": "generator_cpu", "observed": 0.97, "limit": 0.95, "hint": "use --workers 2"}
    (tmp_path / "run.json").write_text(json.dumps({"warnings": [warning]}), encoding="utf-8")
    write_rows(tmp_path, row(11), row(11, "chatter", connected=100))
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with ProgressDisplay(quickstart(), tmp_path, console) as display:
        text = shown(display, console)
    words = " ".join(text.split())
    assert "quickstart on emulator measure, 12 s of 30 s, 18 s left" in words
    assert "subscribers chatters connected 900 of 900 100 of 100" in words
    assert "fan-out p99 41.2 ms 41.2 ms" in words
    assert "warning: generator_cpu: 0.97, limit 0.95" in words


def test_unreadable_run_file_has_no_warnings(tmp_path: Path) -> None:
    """A missing or foreign run.json costs the warnings, not the display."""
    run_file = tmp_path / "run.json"
    assert () == run_warnings(run_file)
    run_file.write_text("{", encoding="utf-8")
    assert () == run_warnings(run_file)


def test_time_left_is_not_promised_once_the_run_is_stopping() -> None:
    """The plan no longer says when the run ends."""
    progress = quickstart()
    console = Console(file=io.StringIO(), width=100)
    console.print(table(progress))
    progress.stopping = True
    console.print(table(progress))
    assert isinstance(console.file, io.StringIO)
    headlines = [line for line in console.file.getvalue().splitlines() if "quickstart" in line]
    assert headlines[0].endswith("starting, 0 s of 30 s, 30 s left")
    assert headlines[1].endswith("stopping (a second Ctrl-C kills it), 0 s of 30 s")
