"""Every column of the record has the type its values need."""

import pyarrow as pa

from harness.analysis.run.columns import CONNECTIONS, JOURNALS, MESSAGES, column_type
from harness.measure.record import TABLES


def test_journals_have_the_columns_the_writer_writes():
    """Names come from the writer, in its order."""
    assert {table: list(names) for table, names in TABLES.items()} == {
        table: schema.names for table, schema in JOURNALS.items()
    }


def test_instants_are_integers_and_durations_are_floats():
    """Nanoseconds would lose their last digits as floats; milliseconds have fractions."""
    assert pa.int64() == column_type("sent_ns")
    assert pa.float64() == column_type("tcp_ms")
    assert pa.float64() == column_type("fan_out_latency_ms_p99")
    assert pa.string() == column_type("channel")
    assert pa.bool_() == column_type("joined")


def test_the_ledger_adds_its_columns():
    """What analysis adds stands beside what the run counted."""
    assert {"owed", "lost", "stall_s", "away_s", "missed_while_away"} == set(
        CONNECTIONS.names
    ) - set(TABLES["connections"])
    assert {"owed", "lost", "delivered"} <= set(MESSAGES.names)
