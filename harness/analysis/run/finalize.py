"""Judge a run record and complete it: its summary in ``run.json``, its journal as Parquet.

A finished run can be judged again by other objectives than its own, from the record alone.
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
from harness.analysis.run.validity import (
    find_warnings,
    invalidates,
    saturates,
    stopped_by_slo,
    unreachable,
)
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode
from harness.measure.record import JOURNAL_FOLDER, RUN_FILE

_EXIT_CODES: Final = {
    "pass": ExitCode.PASS,
    "fail": ExitCode.SLO_FAILED,
    "no_data": ExitCode.SLO_FAILED,
    "invalid": ExitCode.RUN_INVALID,
}

VERDICT_VERSION: Final = 1
"""Of what ``verdict_json`` returns; a name that goes, or means something else, raises it."""


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
            for name, schema in PARQUET.items():
                write_parquet(getattr(analysis.record, name), folder / f"{name}.parquet", schema)
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


def judge_again(analysis: Analysis, slos: Sequence[Mapping[str, Any]]) -> Analysis:
    """Return a run's analysis with its verdict by other objectives; writes nothing.

    Each of them has metric, op and limit, and perhaps phase and user_class.
    """
    record, summary = analysis.record, analysis.summary
    judged = [judge_part(slo, record, summary) for slo in slos]
    verdict = decide(record.run, judged, summary["warnings"])
    changes = {"verdict": verdict, "exit_code": exit_code(record.run, verdict), "slos": judged}
    return replace(analysis, summary=summary | changes)


def verdict_json(analysis: Analysis) -> Json:
    """Return a verdict as plain data under stable names."""
    run, summary = analysis.record.run, analysis.summary
    return {
        "version": VERDICT_VERSION,
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


def decide(run: Json, slos: Sequence[Json], warnings: Sequence[Json]) -> str:
    """Return pass, fail, invalid or no_data; invalid beats fail beats no_data beats pass.

    A run in which no user joined measured nothing, so it has no data even without any SLO. One that
    an SLO stopped has failed, whatever came after.
    """
    if any(invalidates(warning) for warning in warnings):
        return "invalid"
    verdicts = {slo["verdict"] for slo in slos}
    if "fail" in verdicts or stopped_by_slo(run):
        return "fail"
    if "no_data" in verdicts or unreachable(run):
        return "no_data"
    return "pass"


def exit_code(run: Json, verdict: str) -> int:
    """Return the exit code; the reason why a run ended early takes precedence over the verdict.

    A run that an SLO stopped has that of its verdict: it may be invalid.
    """
    cause = run.get("cause") or {}
    if cause.get("exit_code") and not stopped_by_slo(run):
        return int(cause["exit_code"])
    if run.get("status") == "interrupted":
        return int(ExitCode.INTERRUPTED)
    return int(_EXIT_CODES[verdict])


def _is_worth_writing(record: Record) -> bool:
    """Say whether a new summary may replace the old: what is left must not pass for the whole."""
    return not record.is_recovered and (record.in_journal or not record.problems)


def _reason(error: OSError) -> str:
    """Return the system's words; a library's own only where there are none."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def _write_run(analysis: Analysis) -> None:
    """Replace ``run.json`` in one step, so that a reader never sees half of it."""
    summary = analysis.summary
    run = analysis.record.run | {"verdict": summary["verdict"], "summary": summary}
    path = analysis.record.folder / RUN_FILE
    half = path.with_suffix(".json.new")
    half.write_bytes(orjson.dumps(run, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    half.replace(path)


def _remove_journal(folder: Path) -> None:
    """Take the journal away in one step first: half a journal must never be read as a whole."""
    gone = folder / f".{JOURNAL_FOLDER}.removed"
    (folder / JOURNAL_FOLDER).rename(gone)
    shutil.rmtree(gone)
