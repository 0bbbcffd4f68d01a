import re
from xml.etree import ElementTree as ET

import pytest

from harness.live.chart import HEIGHT, WIDTH, Line, chart, ticks


def texts(svg):
    """Return all text of a drawing."""
    return [one.text for one in ET.fromstring(svg).iter() if one.tag.endswith("text")]  # noqa: S314 - ours


def test_axes_have_round_numbers_and_units():
    """Seconds of the run below, and values from zero up."""
    values = [10.0, 80.0, 30.0, None, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0]
    found = texts(chart(range(40, 51), [Line("p99", "p99", values)], "ms", "Latency"))
    assert ["ms", "p99", "0", "20", "40", "60", "80", "40 s", "42 s"] == found[:9]
    assert "50 s" == found[-1]


def test_a_line_leaves_gaps_where_nothing_was_measured():
    """A second without a value is not a second of zero."""
    svg = chart(range(4), [Line("p99", "p99", [1.0, 2.0, None, 4.0])], "ms", "Latency")
    drawn = re.findall(r'<path d="(M[^"HVh]*)" fill="none"', svg)
    assert [2, 1] == [len(re.findall("[ML]", path)) for path in drawn]
    assert drawn[1].endswith(" 30.0"), "the largest is at the top"


@pytest.mark.parametrize("seconds", [[], [3], list(range(300))])
def test_everything_is_inside_the_drawing(seconds):
    """Also before the first second, and when the page shows no more than the last ones."""
    values = [1e6 + second for second in seconds]
    svg = chart(seconds, [Line("achieved", "sky", values, is_filled=True)], "deliveries/s", "Rate")
    places = [(float(x), float(y)) for x, y in re.findall(r"(?:M|L)([\d.]+) ([\d.]+)", svg)]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert texts(svg)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.0, 37.0, [0, 10, 20, 30]),
        (180, 480, [200, 300, 400]),
        (0, 0.004, [0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_ticks_are_round_and_few(low, high, expected):
    """Steps of 1, 2, 2.5 or 5 of a decade."""
    assert pytest.approx(expected) == ticks(low, high)
