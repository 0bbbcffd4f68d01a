from harness.analysis.run.finalize import analyse
from harness.report import formatting as q
from harness.report.run.tables import build_tables, environment, objectives
from tests.support.records import (
    arrival,
    connection,
    disturbance,
    histogram,
    publish,
    run_file,
    three_subscribers,
    worker_second,
    write_record,
)
from tests.support.simulated_run import Simulation


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


def test_a_workloads_objective_on_a_part_of_the_run_is_named_with_it(tmp_path):
    """Of the phase only: what it observed is not the summary's figure, so it does not claim it."""
    run = run_file()
    (whole,) = run["plan"]["workload"]["slos"]
    run["plan"]["workload"]["slos"] = [whole, whole | {"phase": "measure"}]
    table = objectives(analyse(three_subscribers(tmp_path / "run", run=run)).summary)
    assert ["Delivery ratio", "Delivery ratio (measure)"] == [row[0].text for row in table.rows]
    assert [("80 %", "deliveries.ratio"), ("80 %", "")] == [
        (row[2].text.replace(q.THIN, " "), row[2].metric) for row in table.rows
    ]


def test_the_delivery_ledger_shows_the_measured_time_beside_the_whole_run(tmp_path):
    """Here everything lies in the measured time."""
    table = by_name(three_subscribers(tmp_path / "run"))["ledger"]
    figures = ["2", "5", "4", "1", "0", "0", "0", "0", "80 %"]
    assert [["Measured", *figures], ["Whole run", *figures]] == rows(table)


def test_what_came_before_measuring_has_a_row_of_its_own(tmp_path):
    """One of two missed the warm-up's message; nothing that is measured was lost."""
    folder = write_record(
        tmp_path / "run",
        publishes=[publish(0, 3.2, phase="warm_up"), publish(1, 5.0)],
        arrivals=[arrival(0, 1, 3.21, 3.21), arrival(1, 2, 5.01, 5.01)],
        connections=[connection(0, 1.0, delivered=2), connection(1, 1.0, delivered=1)],
    )
    spans = {row[0]: row[1:5] for row in rows(by_name(folder)["ledger"])}
    assert ["1", "2", "2", "0"] == spans["Measured"]
    assert ["1", "2", "1", "1"] == spans["Before measuring"]
    assert ["2", "4", "3", "1"] == spans["Whole run"]


def test_service_latency_says_what_it_leaves_out(tmp_path):
    """Due 100 ms before it was sent, arrived 20 ms after that."""
    folder = three_subscribers(
        tmp_path / "run",
        histograms=[
            ("fan_out_latency.subscriber.measure", 5, histogram(120)),
            ("service_latency.subscriber.measure", 5, histogram(20)),
        ],
    )
    shown = {row[0]: row[1:] for row in rows(by_name(folder)["latencies"])}
    assert "100" == shown["what it leaves out"][2]


def test_disturbances_are_numbered_as_in_the_charts_with_what_they_did(tmp_path):
    """A stall of 1.2 s that was over with its second; the herd came back to quick deliveries."""
    plan = Simulation(
        measure_s=20,
        stall=(8.0, 9.2),
        cut=(14.0, 0.5),
        disturbances=[
            disturbance("a herd", "connection_loss", 14.0, 14.0),
            disturbance("a stall", "stall", 8.0, 9.2),
        ],
    )
    first, second_row = rows(by_name(plan.write(tmp_path / "run"))["disturbances"])
    assert ["1 a stall", "Stall", "8 s", "1.2 s"] == first[:4]
    assert ("0", "0.80 s") == (first[5], first[7])
    assert ["2 a herd", "Connection loss", "14 s", "0 s"] == second_row[:4]
    assert "immediate" == second_row[7]


def test_shares_of_stalled_subscribers_have_a_column_for_each_limit(tmp_path):
    """One of three was silent for 5 s; it never got a message, the others did after 2 s."""
    table = by_name(three_subscribers(tmp_path / "run"))["stall-shares"]
    names = [name.replace(q.THIN, " ") for name in table.columns]
    stall, first = (dict(zip(names, row, strict=True)) for row in rows(table))
    assert ("5.0 s", "33 %", "0 %") == (stall["max"], stall["Over 1 s"], stall["Over 10 s"])
    assert ("5.0 s", "100 %", "0 %") == (first["max"], first["Over 1 s"], first["Over 10 s"])


def test_the_slowest_messages_come_first_and_say_how_they_spread(tmp_path):
    """Message 1 took 40 ms to its last subscriber, message 0 only 20 ms."""
    table = by_name(three_subscribers(tmp_path / "run"))["slowest-messages"]
    expected = [
        ["1", "/default/room-0", "7 s", "40.0 ms", "–", "–", "30.0 ms", "3", "1"],
        ["0", "/default/room-0", "5 s", "20.0 ms", "–", "–", "10.0 ms", "2", "0"],
    ]
    assert expected == rows(table)


def test_subscribers_that_waited_longest_come_first_with_all_their_connections(tmp_path):
    """Subscriber 2 came back once and was silent both times."""
    people = [connection(0, 1.0, delivered=2, last_s=7.04), connection(2, 1.0, 5.5)]
    people += [connection(2, 6.0, connection=1)]
    table = by_name(three_subscribers(tmp_path / "run", connections=people))["slowest-subscribers"]
    assert ["subscriber 2", "/default/room-0", "5 s", "2", "2", "2"] == rows(table)[0]
    assert ["subscriber 0", "/default/room-0", "0.050 s", "1", "2", "0"] == rows(table)[1]


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
    assert "Through a proxy" not in pairs


def test_proxies_are_part_of_the_environment(tmp_path):
    """What they take is part of each join."""
    analysis = analyse(three_subscribers(tmp_path / "run"))
    analysis.record.run["environment"]["proxies"] = ["a.test:1", "b.test:2"]
    assert "a.test:1, b.test:2" == dict(environment(analysis))["Through a proxy"]


def test_the_generator_shows_its_worst_second_and_who_shared_its_machine(tmp_path):
    """Counts add up, the rest is the worst; an emulated system takes cores from its own load."""
    seconds = [
        worker_second(4, cpu_wait_ratio=0.1, late_slots=1, clock_step_ms=-30.0),
        worker_second(5, cpu_wait_ratio=0.3, late_slots=2, gc_pause_ms_max=40.0),
        worker_second(6, send_delay_ms_max=None, receive_backlog=1234),
    ]
    table = by_name(three_subscribers(tmp_path / "run", generator=seconds))["generator"]
    (row,) = rows(table)
    shown = dict(zip(table.columns, row, strict=True))
    assert ("30 %", "3", "30.0 ms", "40.0 ms") == tuple(
        shown[name] for name in ("CPU wait", "Late slots", "Clock step", "GC pause max")
    )
    assert ["0.40 ms", "1,234"] == [shown[name] for name in ("Send delay max", "Receive backlog")]
    assert "emulated on this machine" in table.note


def test_a_system_elsewhere_shares_nothing(tmp_path):
    """The sentence is for emulated targets alone."""
    run = run_file()
    run["plan"]["target"]["emulated"] = False
    table = by_name(three_subscribers(tmp_path / "run", run=run))["generator"]
    assert "this machine" not in table.note


def test_failed_joins_stand_by_cause_and_stage(tmp_path):
    """A row for each cause, a column for each stage at which something failed, and their sum."""
    error = {"worker": 0, "second": 1, "error_class": "JoinError", "message": "no"}
    errors = [
        error | {"stage": "upgrade", "code": "429", "count": 3},
        error | {"stage": "connect", "code": "timeout", "count": 2},
        error | {"stage": "upgrade", "code": "timeout", "count": 4},
    ]
    table = by_name(three_subscribers(tmp_path / "run", errors=errors))["failed-joins"]
    assert ["Cause", "Connect", "WebSocket upgrade", "All"] == table.columns
    assert [["Timed out", "2", "4", "6"], ["Throttled", "0", "3", "3"]] == rows(table)


def test_joins_that_all_succeeded_have_no_table_of_failures(tmp_path):
    """An empty table says nothing that a missing one does not."""
    assert "failed-joins" not in by_name(three_subscribers(tmp_path / "run"))
