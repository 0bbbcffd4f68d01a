import numpy as np
import pandas as pd
import pytest

from benchmarks.flatness import MIB, Growth, as_text, flat_time, growths
from benchmarks.slope import Slope, fit_slope


def generator_of(seconds, **mib_by_worker):
    """Return a generator table; each worker's memory is a function of the second."""
    return pd.DataFrame(
        {"second": second, "worker": int(name[1:]), "rss_bytes": mib(second) * MIB}
        for name, mib in mib_by_worker.items()
        for second in range(seconds)
    )


def test_slope_and_its_error_are_those_of_the_textbook() -> None:
    """Points (0, 0), (1, 2), (2, 1), (3, 3): slope 0.8, squared residuals 1.8, error √(0.9 ÷ 5)."""
    slope = fit_slope([0, 1, 2, 3], [0, 2, 1, 3])
    assert pytest.approx((0.8, np.sqrt(0.9 / 5))) == slope


def test_growth_is_told_in_mib_per_hour_for_each_worker() -> None:
    """0.1 MiB a second is 360 MiB an hour; what does not grow has a slope of nothing."""
    generator = generator_of(100, w0=lambda second: 200 + second / 10, w1=lambda _: 150)
    growing, flat = growths(generator, 0, 100)
    assert pytest.approx((0, 200.95, 208.95)) == growing[:3]
    assert pytest.approx((360.0, 0.0), abs=1e-6) == growing.mib_per_hour
    assert pytest.approx((0.0, 0.0), abs=1e-6) == flat.mib_per_hour


def test_growth_ignores_what_is_not_measured() -> None:
    """Memory that grows while users join, and while they leave, is no leak."""
    generator = generator_of(200, w0=lambda second: min(second, 50) + 100 * (second >= 150))
    (growth,) = growths(generator, 50, 150)
    assert (0, 50.0, 50.0) == growth[:3]
    assert pytest.approx(0.0, abs=1e-6) == growth.mib_per_hour.value


def test_growth_counts_whole_stretches_only() -> None:
    """The last seconds, too few for a mean of their own, are left out."""
    (growth,) = growths(generator_of(79, w0=lambda second: 1000 if second >= 60 else 50), 0, 79)
    assert 50.0 == growth.last_mib


def test_short_run_has_no_slope() -> None:
    """Two stretches say nothing of how sure their line is."""
    with pytest.raises(ValueError, match="120 s of measuring are needed"):
        growths(generator_of(59, w0=lambda _: 1), 0, 59)


@pytest.mark.parametrize(("ended_s", "end_s"), [(200.0, 170.0), (155.0, 155.0), (None, 170.0)])
def test_flat_time_begins_late_and_ends_with_the_run(ended_s, end_s) -> None:
    """Memory has a minute to grow to its size; a run that was cut short was measured until then."""
    phases = [{"name": "join", "start_s": 0.0, "end_s": 9.0}]
    phases += [{"name": "measure", "start_s": 9.0, "end_s": 170.0}]
    assert (69.0, end_s) == flat_time({"phases": phases, "ended_s": ended_s})


def test_text_has_a_line_for_each_worker() -> None:
    """Slopes carry their sign and their standard error."""
    text = as_text([Growth(1, 200.04, 203.1, Slope(-4.25, 0.31))])
    assert "     1      200.0     203.1  -4.2 ± 0.3" == text.splitlines()[1]
