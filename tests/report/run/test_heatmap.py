import numpy as np
import pytest

from harness.measure.histogram import BIN_COUNT, bins_of
from harness.report.canvas import NARROW, WIDE
from harness.report.run.heatmap import _cells, _level_paths, _levels, _runs


def binned(*values_ms):
    """Return the coarse bins of latencies."""
    return np.bincount(bins_of(np.array(values_ms) * 1_000_000), minlength=BIN_COUNT)


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("length", [5, 200, 4000])
def test_every_delivery_is_in_a_cell(size, length):
    """Cells hold deliveries a second; times their width they are all deliveries."""
    by_second = {second: binned(3, 40, 40, 5000) for second in range(2, 2 + length)}
    per_s, starts_s, edges_ms = _cells(by_second, size)
    assert (len(edges_ms) - 1, len(starts_s) - 1) == per_s.shape
    assert 4 * length == pytest.approx((per_s * np.diff(starts_s)).sum())
    assert edges_ms[0] <= 3
    assert edges_ms[-1] > 5000
    assert per_s.shape[1] * 6 <= size.width


def test_a_cell_lies_where_its_deliveries_were():
    """40 ms in second 7 and nowhere else."""
    per_s, starts_s, edges_ms = _cells({5: binned(1), 7: binned(40, 40)}, WIDE)
    (row,), (column,) = np.nonzero(per_s == 2)
    assert edges_ms[row] <= 40 < edges_ms[row + 1]
    assert 7 == starts_s[column]


@pytest.mark.parametrize(
    ("per_s", "expected"),
    [
        ([0.5], [0.0]),
        ([20.0], [0.0, 20.0]),
        ([3.0, 20.0, 0.0], [0.0, 5.0, 10.0, 20.0]),
        ([300.0] * 20 + [400.0, 700.0], [0.0, 500.0]),
        ([3.0, 400.0], [0.0, 50.0, 100.0, 200.0]),
        ([1.0, 2.0, 400.0], [0.0, 3.0, 10.0, 30.0, 100.0, 300.0]),
        ([1.0, 2.0, 90_000.0], [0.0, 10.0, 100.0, 1_000.0, 10_000.0]),
    ],
)
def test_levels_are_round_few_and_as_fine_as_the_cells_are_alike(per_s, expected):
    """At most six, from the emptiest tenth of the cells up."""
    assert expected == _levels(np.array([per_s]))


def test_neighbours_of_one_level_are_one_rectangle():
    """Fewer marks, smaller pages."""
    mask = np.array([[True, True, False, True], [False, False, False, False]])
    assert [[0, 0], [0, 3], [2, 4]] == [one.tolist() for one in _runs(mask)]


def test_every_cell_that_is_not_empty_belongs_to_one_level():
    """The rectangles of all levels cover what was delivered, and no more."""
    per_s, levels = np.array([[0.0, 5.0], [500.0, 0.2]]), [0.0, 10.0, 100.0]
    paths = list(_level_paths(per_s, levels, np.arange(3.0), np.array([1.0, 2.0, 4.0])))
    assert [(0, "under 10/s"), (2, "from 100/s")] == [(number, name) for number, _, name in paths]
    assert [2, 1] == [len(np.asarray(path.vertices)) // 5 for _, path, _ in paths]
