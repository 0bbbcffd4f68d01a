"""Figures of the requests of ordinary Locust users that ran beside the fan-out users."""

import pandas as pd

from harness.analysis.run.histograms import latency_ms
from harness.analysis.run.record import MEASURE, Json, Record, measured
from harness.measure.histogram import REQUEST_PERCENTILES
from harness.measure.record import REQUEST_LATENCY, request_tag
from harness.scenario.request_metrics import AGGREGATED

__all__ = ["AGGREGATED", "request_figures"]


def request_figures(record: Record) -> Json:
    """Return the figures of each kind of request in the measured time, and of all together.

    Empty where the run had none.
    """
    requests = record.requests
    names = sorted(requests["name"].dropna().unique())
    if not names:
        return {}
    rows = measured(requests)
    of_each = {name: _figures(record, rows[rows["name"] == name], name) for name in names}
    return of_each | {AGGREGATED: _figures(record, rows, None)}


def _figures(record: Record, rows: pd.DataFrame, name: str | None) -> Json:
    count, failures = int(rows["count"].sum()), int(rows["failures"].sum())
    seconds = record.measured_s()
    tag = None if name is None else request_tag(name)
    merged = record.histograms.merged(REQUEST_LATENCY, user_class=tag, phase=MEASURE)
    return {
        "count": count,
        "failures": failures,
        "failure_ratio": failures / count if count else None,
        "per_s": round(count / seconds, 3) if seconds else None,
        "bytes": int(rows["bytes"].sum()),
        "latency_ms": latency_ms(merged, REQUEST_PERCENTILES),
    }
