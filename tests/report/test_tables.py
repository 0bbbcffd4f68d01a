"""The tables behind page and Markdown."""

from harness.analysis.finalise import analyse
from harness.report import quantities as q
from harness.report.tables import build_tables, environment, objectives
from tests.analysis.simulated_run import Simulation
from tests.analysis.synthetic_record import (
    run_file,
    three_subscribers,
    worker_second,
    write_record,
)


def rows(table):
    """Return a table's texts with ordinary spaces."""
    return [[cell.text.replace(q.THIN, " ") for cell in row] for row in table.rows]


def by_name(folder):
    """Return a record's tables by name."""
    return {table.name: table for table in build_tables(analyse(folder))}


def test_every_row_has_as_many_cells_as_there_are_columns(tmp_path):
    """No figure stands under another's heading."""
    for table in by_name(Simulation(failed_joins=2).write(tmp_path / "run")).values():
        assert {len(table.columns)} == {len(row) for row in table.rows}


def test_a_table_without_rows_is_not_made(tmp_path):
    """An empty run still has its objective, without data."""
    assert ["objectives", "ledger"] == list(by_name(write_record(tmp_path / "run")))


def test_an_objective_shows_what_was_observed_required_and_left(tmp_path):
    """80 % observed where 100 % is required misses by 20 %."""
    table = objectives(analyse(three_subscribers(tmp_path / "run")).summary)
    assert [["Delivery ratio", "✕ Fail", "80 %", "at least 100 %", "-20 %"]] == rows(table)


def test_the_delivery_ledger_shows_the_measured_time_beside_the_whole_run(tmp_path):
    """Here everything lies in the measured time."""
    table = by_name(three_subscribers(tmp_path / "run"))["ledger"]
    figures = ["2", "5", "4", "1", "0", "0", "0", "0", "80 %"]
    assert [["Measured", *figures], ["Whole run", *figures]] == rows(table)


def test_latencies_that_were_not_measured_are_named_and_have_no_row(tmp_path):
    """A row of dashes would look like a fault."""
    table = by_name(three_subscribers(tmp_path / "run"))["latencies"]
    assert ["Fan-out latency", "Completion latency"] == [row[0].text for row in table.rows]
    assert "Not measured in this run: service latency, receive delay" in table.note


def test_errors_of_the_same_kind_are_one_row(tmp_path):
    """Counts add up, seconds span from first to last."""
    error = {"worker": 0, "stage": "upgrade", "error_class": "E", "code": "401", "message": "no"}
    errors = [error | {"second": 1, "count": 2}, error | {"second": 4, "count": 3}]
    table = by_name(three_subscribers(tmp_path / "run", errors=errors))["errors"]
    assert [["upgrade", "401", "no", "5", "1 to 4"]] == rows(table)


def test_the_environment_leaves_out_what_is_unknown(tmp_path):
    """No row says None."""
    pairs = dict(environment(analyse(three_subscribers(tmp_path / "run"))))
    assert "Example CPU, 2 CPUs" == pairs["Processor"]
    assert "None" not in pairs.values()


def test_the_generator_shows_its_worst_second_and_who_shared_its_machine(tmp_path):
    """Counts add up, the rest is the worst; an emulated system takes cores from its own load."""
    seconds = [
        worker_second(4, cpu_wait_ratio=0.1, late_slots=1, clock_step_ms=-30.0),
        worker_second(5, cpu_wait_ratio=0.3, late_slots=2, gc_pause_ms_max=40.0),
    ]
    table = by_name(three_subscribers(tmp_path / "run", generator=seconds))["generator"]
    (row,) = rows(table)
    shown = dict(zip(table.columns, row, strict=True))
    assert ("30 %", "3", "30.0 ms", "40.0 ms") == tuple(
        shown[name] for name in ("CPU wait", "Late slots", "Clock step", "GC pause max")
    )
    assert "emulated on this machine" in table.note


def test_a_system_elsewhere_shares_nothing(tmp_path):
    """The sentence is for emulated targets alone."""
    run = run_file()
    run["plan"]["target"]["emulated"] = False
    table = by_name(three_subscribers(tmp_path / "run", run=run))["generator"]
    assert "this machine" not in table.note
