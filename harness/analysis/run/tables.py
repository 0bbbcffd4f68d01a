"""Reading and writing the tables of a run record, as journals and as Parquet.

A journal is written during the run and may end anywhere: half a line is normal after a
run that was killed. Whatever can be read is read; whatever cannot is counted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.measure.record_schema import JOURNAL_TABLES, RECORD_TABLES, RENAMED_COLUMNS, Columns

_TYPES: Final[Mapping[Any, pa.DataType]] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
    list[int]: pa.list_(pa.int64()),
}


def _schema(columns: Columns) -> pa.Schema:
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])


JOURNALS: Final = {name: _schema(columns) for name, columns in JOURNAL_TABLES.items()}
"""The journal's tables, as the run wrote them."""

PARQUET: Final = {name: _schema(columns) for name, columns in RECORD_TABLES.items()}
"""The finished record's tables."""


class Table(NamedTuple):
    """A table as it was found.

    Attributes:
        frame: The rows that could be read; empty, with all its columns, when there are none.
        problem: What was wrong with the file, in words; None when nothing was.
        is_lost: Whether nothing of it could be read.
    """

    frame: pd.DataFrame
    problem: str | None
    is_lost: bool = False


def empty(schema: pa.Schema) -> pd.DataFrame:
    """Return a frame without rows that has the columns and types of ``schema``."""
    return _to_frame(schema.empty_table())


def parse_journal(data: bytes, schema: pa.Schema) -> tuple[pd.DataFrame, int]:
    """Parse JSON lines; return the rows and the number of lines that could not be read.

    Fields that ``schema`` does not name are ignored and fields a line lacks are null.
    """
    lines = [line for line in data.split(b"\n") if line.strip()]
    rows = [row for row in map(_parse_line, lines) if row is not None]
    try:
        table = pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        rows = [row for row in rows if _fits(row, schema)]
        table = pa.Table.from_pylist(rows, schema=schema)
    return _to_frame(table), len(lines) - len(rows)


def read_journal(path: Path, schema: pa.Schema) -> Table:
    """Read one journal file, leaving out the lines that are torn or damaged."""
    try:
        frame, damaged = parse_journal(path.read_bytes(), schema)
    except FileNotFoundError:
        return Table(empty(schema), f"{path.name} is missing", is_lost=True)
    except OSError as error:
        return Table(empty(schema), f"{path.name} cannot be read: {error.strerror}", is_lost=True)
    if damaged:
        return Table(frame, f"{path.name} has {damaged} damaged line{'s' * (damaged != 1)}")
    return Table(frame, None)


def read_parquet(path: Path, schema: pa.Schema) -> Table:
    """Read one Parquet file; columns it lacks are null."""
    try:
        stored = pq.ParquetFile(path).read()
        stored = stored.rename_columns([_current_name(name) for name in stored.column_names])
        table = pa.Table.from_arrays(
            [
                stored.column(field.name).cast(field.type)
                if field.name in stored.column_names
                else pa.nulls(stored.num_rows, field.type)
                for field in schema
            ],
            schema=schema,
        )
    except FileNotFoundError:
        return Table(empty(schema), f"{path.name} is missing", is_lost=True)
    except (OSError, pa.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        reason = said.partition(". ")[0].rstrip(".")
        return Table(empty(schema), f"{path.name} cannot be read: {reason}", is_lost=True)
    return Table(_to_frame(table), None)


def write_parquet(frame: pd.DataFrame, path: Path, schema: pa.Schema) -> None:
    """Write a frame and read it back, so that its journal can be removed.

    Raises:
        OSError: If the file cannot be written, or does not hold what was written.
    """
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    part = path.with_suffix(".parquet.part")
    pq.write_table(table.replace_schema_metadata(None), part, compression="zstd")
    if not pq.ParquetFile(part).read().equals(table.replace_schema_metadata(None)):
        message = f"{part} does not hold what was written to it"
        raise OSError(message)
    part.replace(path)


def integers(column: "pd.Series[Any]", missing: int = 0) -> "pd.Series[int]":
    """Return a nullable integer column as plain integers."""
    return column.fillna(missing).astype("int64")


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(row, dict):
        return None
    if not RENAMED_COLUMNS.keys().isdisjoint(row):
        row = {_current_name(name): value for name, value in row.items()}
    return row


def _current_name(column: str) -> str:
    return RENAMED_COLUMNS.get(column, column)


def _fits(row: dict[str, Any], schema: pa.Schema) -> bool:
    try:
        pa.Table.from_pylist([row], schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert, with integers and booleans that keep their type beside nulls."""
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame
