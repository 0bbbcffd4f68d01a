import numpy as np
import pandas as pd

from harness.report.readings import by_percentile, over_time
from tests.support.records import histogram


def test_readings_over_time_are_rounded_and_have_no_value_where_there_is_a_gap():
    """Four figures are more than a histogram has; a gap is no 0."""
    values = pd.Series([1.23456, np.nan, 1234.56])
    plain = over_time(np.array([0.0, 2.0, 4.0]), {"ms": {"p99": values}}, 6.0).plain()
    assert [["p99", "ms", [1.235, None, 1235]]] == plain["series"]
    assert (2.0, 0.0, 6.0) == (plain["step"], plain["start"], plain["end"])


def test_percentile_readings_have_the_usual_percentiles_and_their_values():
    """Of ten values the p50 is the fifth, and p95 and all above are the greatest."""
    readings = by_percentile({"join": histogram(*range(1, 11))}, end=2000.0)
    percentiles = np.round(100 - 100 / readings.at, 6).tolist()
    assert {0.0, 50.0, 90.0, 95.0, 99.0, 99.5, 99.9} <= set(percentiles)
    values = dict(zip(percentiles, readings.series["join", "ms"], strict=True))
    assert [1, 5, 9, 10, 10] == [round(values[place]) for place in (0.0, 50.0, 90.0, 95.0, 99.9)]
