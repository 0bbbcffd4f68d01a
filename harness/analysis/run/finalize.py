"""Finishing a run record: its summary into ``run.json``, its journal into Parquet."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import orjson

from harness.analysis.run.record import Json, Record, read_record
from harness.analysis.run.summary import figures, judge_part
from harness.analysis.run.tables import PARQUET, write_parquet
from harness.analysis.run.validity import find_warnings, saturates
from harness.analysis.run.verdict import decide, exit_code
from harness.core.errors import MachineError
from harness.measure.record import JOURNAL_FOLDER, RUN_FILE


@dataclass(frozen=True)
class Analysis:
    """A run record and what it comes to."""

    record: Record
    summary: Json


def analyse(folder: Path) -> Analysis:
    """Read a record and judge it; writes nothing.

    Raises:
        NoRecordError: If the folder holds no readable record.
    """
    record = read_record(folder)
    found = figures(record)
    warnings = find_warnings(record, found)
    slos = [judge_part(slo, record, found) for slo in record.workload.get("slos", [])]
    verdict = decide(record.run, slos, warnings)
    found["generator"]["valid"] = not any(saturates(warning) for warning in warnings)
    head = {"verdict": verdict, "exit_code": exit_code(record.run, verdict)}
    return Analysis(record, {**head, **found, "slos": slos, "warnings": warnings})


def finalize(folder: Path) -> Analysis:
    """Judge a record and complete it on disk; doing so again changes nothing.

    A finished record that was damaged since keeps its ``run.json`` as it is.

    The journal goes once its Parquet files were written and read back. It stays when the run was
    killed, or is still going, because then it is all the evidence there is.

    Raises:
        NoRecordError: If the folder holds no readable record.
        MachineError: If the folder cannot be written.
    """
    analysis = analyse(folder)
    try:
        if analysis.record.in_journal:
            _write_tables(analysis.record)
        if _is_worth_writing(analysis.record):
            _write_run(analysis)
        if analysis.record.in_journal and analysis.record.run.get("status") != "running":
            _remove_journal(folder)
    except OSError as error:
        raise MachineError(
            str(folder),
            f"cannot be written ({_reason(error)})",
            "the run record needs a writable folder with room",
            "free some space, then run: harness report " + str(folder),
        ) from None
    return analysis


def _is_worth_writing(record: Record) -> bool:
    """Say whether a new summary may replace the old: what is left must not pass for the whole."""
    return not record.is_salvaged and (record.in_journal or not record.problems)


def _reason(error: OSError) -> str:
    """Return the system's words; a library's own only where there are none."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def _write_tables(record: Record) -> None:
    for name, schema in PARQUET.items():
        write_parquet(getattr(record, name), record.folder / f"{name}.parquet", schema)


def _write_run(analysis: Analysis) -> None:
    """Replace ``run.json`` in one step, so that a reader never sees half of it."""
    run = analysis.record.run | {
        "verdict": analysis.summary["verdict"],
        "summary": analysis.summary,
    }
    path = analysis.record.folder / RUN_FILE
    half = path.with_suffix(".json.new")
    half.write_bytes(orjson.dumps(run, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    half.replace(path)


def _remove_journal(folder: Path) -> None:
    """Take the journal away in one step first: half a journal must never be read as a whole."""
    gone = folder / f".{JOURNAL_FOLDER}.removed"
    (folder / JOURNAL_FOLDER).rename(gone)
    shutil.rmtree(gone)
