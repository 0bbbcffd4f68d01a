"""Judging a finished run by other objectives than its own, per phase and kind of user if asked.

Nothing is measured again and nothing is written: everything comes from the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.slo import margin
from harness.analysis.run.summary import judge_part
from harness.analysis.run.verdict import decide, exit_code

JSON_VERSION: Final = 1
"""Of what ``verdict_json`` returns; a name that goes, or means something else, raises it."""


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
