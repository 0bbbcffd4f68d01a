"""Judging a run record, and completing it on disk.

Completing writes the summary into ``run.json`` and turns the journal into Parquet. Judging by other
objectives than the run's own measures and writes nothing: everything comes from the record.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from harness.analysis.run.record import Json, Record, read_record
from harness.analysis.run.slo import margin
from harness.analysis.run.summary import figures, judge_part
from harness.analysis.run.tables import PARQUET, write_parquet
from harness.analysis.run.validity import find_warnings, invalidates, saturates, unreachable
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode
from harness.measure.record import JOURNAL_FOLDER, RUN_FILE

JSON_VERSION: Final = 1
"""Version of ``verdict_json``: raised when a name is removed or changes its meaning."""

_EXIT_CODES: Final = {
    "pass": ExitCode.PASS,
    "fail": ExitCode.SLO_FAILED,
    "no_data": ExitCode.SLO_FAILED,
    "invalid": ExitCode.RUN_INVALID,
}


@dataclass(frozen=True)
class Analysis:
    """A run record and its summary, with the verdict."""

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


def judge_again(analysis: Analysis, slos: Sequence[Mapping[str, Any]]) -> Analysis:
    """Return a run's analysis with its verdict by other objectives.

    Args:
        analysis: The run.
        slos: Each with metric, op and limit, and perhaps phase and user_class.
    """
    record, summary = analysis.record, analysis.summary
    judged = [judge_part(slo, record, summary) for slo in slos]
    verdict = decide(record.run, judged, summary["warnings"])
    changes = {"verdict": verdict, "exit_code": exit_code(record.run, verdict), "slos": judged}
    return replace(analysis, summary=summary | changes)


def decide(run: Json, slos: Sequence[Json], warnings: Sequence[Json]) -> str:
    """Return pass, fail, invalid or no_data; invalid beats fail beats no_data beats pass.

    A run in which no join succeeded measured nothing, so it has no data even without any SLO.
    """
    if any(invalidates(warning) for warning in warnings):
        return "invalid"
    verdicts = {slo["verdict"] for slo in slos}
    if "fail" in verdicts:
        return "fail"
    if "no_data" in verdicts or unreachable(run):
        return "no_data"
    return "pass"


def exit_code(run: Json, verdict: str) -> int:
    """Return the exit code: that of what ended the run early, else that of the verdict."""
    cause = run.get("cause") or {}
    if cause.get("exit_code"):
        return int(cause["exit_code"])
    if run.get("status") == "interrupted":
        return int(ExitCode.INTERRUPTED)
    return int(_EXIT_CODES[verdict])


def verdict_json(analysis: Analysis) -> Json:
    """Return a verdict as plain data under stable names."""
    run, summary = analysis.record.run, analysis.summary
    return {
        "version": JSON_VERSION,
        "run_id": run.get("run_id"),
        "workload": analysis.record.workload.get("name"),
        "target": analysis.record.target.get("name"),
        "verdict": summary["verdict"],
        "exit_code": summary["exit_code"],
        "slos": [
            {"phase": None, "user_class": None, **slo, "margin": margin(slo)}
            for slo in summary["slos"]
        ],
        "warnings": summary["warnings"],
    }


def finalize(folder: Path) -> Analysis:
    """Judge a record and complete it on disk; doing so again changes nothing.

    A finished record that was damaged since keeps its ``run.json`` as it is.

    The journal is removed once its Parquet files were written and read back. It stays when the run
    was killed or is still going, because then it is all the evidence there is.

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
    """Return whether a new summary may replace the old one, which is more complete after damage."""
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
