import re
from pathlib import Path

import pytest

from harness.measure.record_schema import JOURNAL_TABLES, RECORD_TABLES

DOCS = Path(__file__).resolve().parents[2] / "docs/measurement.md"


def test_instants_are_integers_and_durations_are_floats():
    """Nanoseconds would lose their last digits as floats; milliseconds have fractions."""
    assert int is JOURNAL_TABLES["publishes"]["sent_ns"]
    assert float is JOURNAL_TABLES["connections"]["tcp_ms"]
    assert float is JOURNAL_TABLES["timeline"]["fan_out_latency_ms_p99"]
    assert str is JOURNAL_TABLES["connections"]["channel"]
    assert bool is JOURNAL_TABLES["connections"]["joined"]
    assert list[int] == JOURNAL_TABLES["arrivals"]["arrival_bins"]


@pytest.mark.parametrize("tables", [JOURNAL_TABLES, RECORD_TABLES])
def test_unit_in_a_columns_name_has_the_type_of_that_unit(tables):
    """Instants count nanoseconds; what is in other units of time, and a share, has fractions."""
    for columns in tables.values():
        for name, kind in columns.items():
            if name.endswith("_ns"):
                assert int is kind, name
            if re.search(r"_ms(_|$)|_s$|_ratio$", name):
                assert float is kind, name


def test_the_ledger_adds_its_columns():
    """What analysis adds stands beside what the run counted."""
    added = RECORD_TABLES["connections"].keys() - JOURNAL_TABLES["connections"].keys()
    assert {"owed", "lost", "stall_s", "away_s", "missed_while_away"} == added
    assert {"owed", "lost", "delivered"} <= set(RECORD_TABLES["messages"])


@pytest.mark.parametrize("table", RECORD_TABLES)
def test_documentation_lists_the_columns_of_each_table_in_order(table):
    """Percentiles of the timeline's latencies are described by their pattern."""
    (row,) = re.findall(
        rf"^\| `{table}` \|.*\| (.*) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE
    )
    columns = [name for name in RECORD_TABLES[table] if "latency_ms_" not in name]
    if table == "timeline":
        columns = [name for name in columns if "delay_ms_" not in name]
    assert columns == re.findall(r"`(\w+)`", row.partition("; ")[0])
