import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.run.tables import (
    JOURNALS,
    PARQUET,
    empty,
    parse_journal,
    read_journal,
    read_parquet,
    write_parquet,
)

ERRORS = JOURNALS["errors"]
ROW = {"second": 3, "worker": 0, "stage": "tls", "error_class": "E", "code": "", "count": 2}


def test_a_torn_last_line_is_left_out_and_counted():
    """What was written whole is read; the half line is one damaged line."""
    frame, damaged = parse_journal(orjson.dumps(ROW) + b"\n" + orjson.dumps(ROW)[:20], ERRORS)
    assert (1, 1) == (len(frame), damaged)


def test_a_row_of_the_wrong_types_is_left_out_and_counted():
    """A text where a number belongs damages its own line only."""
    data = b"\n".join([orjson.dumps(ROW), orjson.dumps(ROW | {"second": "three"})])
    frame, damaged = parse_journal(data, ERRORS)
    assert [3] == frame["second"].tolist()
    assert 1 == damaged


def test_nanoseconds_keep_their_last_digit_beside_nulls():
    """A nullable instant is not turned into a float, which would round it."""
    rows = [{"sent_ns": 1_795_447_800_123_456_789}, {"sent_ns": None}]
    frame, _ = parse_journal(b"\n".join(map(orjson.dumps, rows)), JOURNALS["publishes"])
    assert 1_795_447_800_123_456_789 == frame["sent_ns"].iloc[0]
    assert frame["sent_ns"].isna().tolist() == [False, True]


def test_a_missing_journal_is_an_empty_table_with_a_problem(tmp_path):
    """Its columns are there, so that nothing downstream must ask."""
    table = read_journal(tmp_path / "errors.jsonl", ERRORS)
    assert (0, "errors.jsonl is missing") == (len(table.frame), table.problem)
    assert ERRORS.names == list(table.frame.columns)


def test_a_missing_parquet_file_is_an_empty_table_with_a_problem(tmp_path):
    """The rest of the record can still be shown."""
    table = read_parquet(tmp_path / "errors.parquet", ERRORS)
    assert (0, "errors.parquet is missing") == (len(table.frame), table.problem)


def test_a_damaged_parquet_file_is_an_empty_table_with_a_problem(tmp_path):
    """A file cut in half is named, not raised."""
    path = tmp_path / "errors.parquet"
    path.write_bytes(b"PAR1 half a file")
    table = read_parquet(path, ERRORS)
    assert 0 == len(table.frame)
    assert table.problem is not None
    assert table.problem.startswith("errors.parquet cannot be read")


def test_a_table_written_as_parquet_reads_back_the_same(tmp_path):
    """Values, nulls and types survive."""
    frame, _ = parse_journal(orjson.dumps(ROW), ERRORS)
    path = tmp_path / "errors.parquet"
    write_parquet(frame, path, ERRORS)
    assert frame.equals(read_parquet(path, ERRORS).frame)
    assert [path] == list(tmp_path.iterdir())


def test_a_parquet_file_without_a_later_column_reads_with_nulls(tmp_path):
    """An older record can lack what a newer harness adds."""
    frame, _ = parse_journal(orjson.dumps(ROW), ERRORS)
    path = tmp_path / "errors.parquet"
    write_parquet(frame, path, ERRORS.remove(ERRORS.get_field_index("code")))
    table = read_parquet(path, ERRORS)
    assert table.problem is None
    assert table.frame["code"].isna().all()


def test_a_renamed_column_is_read_under_its_earlier_name(tmp_path):
    """A journal and a Parquet file that call unexpected deliveries ``unowed``."""
    schema = JOURNALS["arrivals"]
    frame, _ = parse_journal(b'{"unowed": 3}', schema)
    assert [3] == frame["unexpected"].tolist()
    write_parquet(
        frame.rename(columns={"unexpected": "unowed"}),
        tmp_path / "arrivals.parquet",
        schema.set(schema.get_field_index("unexpected"), pa.field("unowed", pa.int64())),
    )
    assert [3] == read_parquet(tmp_path / "arrivals.parquet", schema).frame["unexpected"].tolist()


@pytest.mark.parametrize("schema", [*JOURNALS.values(), *PARQUET.values()])
def test_an_empty_table_has_every_column(schema):
    """Analysis of nothing needs no special case."""
    assert schema.names == list(empty(schema).columns)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
rows = st.lists(st.dictionaries(st.sampled_from(ERRORS.names), values), max_size=5)


@given(st.binary(max_size=200))
def test_any_bytes_parse_to_rows_and_a_count_of_damage(data):
    """No content of a journal makes reading it fail."""
    frame, damaged = parse_journal(data, ERRORS)
    assert len([line for line in data.split(b"\n") if line.strip()]) == len(frame) + damaged


@given(rows)
def test_any_json_objects_parse_to_rows_and_a_count_of_damage(objects):
    """Values of any type are either read or counted as damaged."""
    import json

    frame, damaged = parse_journal("\n".join(json.dumps(one) for one in objects).encode(), ERRORS)
    assert len(objects) == len(frame) + damaged
    assert pa.Table.from_pandas(frame, schema=ERRORS).num_rows == len(frame)
