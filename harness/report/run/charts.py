"""The charts of a report, in reading order; each exists only when there is something to draw."""

import matplotlib as mpl

from harness.analysis.run.finalize import Analysis
from harness.report.chart_layout import Chart
from harness.report.run.charts_delivery import deliveries, faults, stalls
from harness.report.run.charts_latency import completion, distribution, due_or_sent, fan_out
from harness.report.run.charts_users import failures, joins
from harness.report.run.heatmap import heatmap
from harness.report.run.requests import request_latency
from harness.report.theme import STYLE

_MAKERS = (
    *(fan_out, heatmap, distribution, due_or_sent, deliveries, joins, completion, stalls),
    *(faults, request_latency, failures),
)


def draw_charts(analysis: Analysis) -> list[Chart]:
    """Draw every chart that the record has data for."""
    sketches = [sketch for maker in _MAKERS for sketch in maker(analysis)]
    with mpl.rc_context(STYLE):
        return [sketch.chart() for sketch in sketches]
