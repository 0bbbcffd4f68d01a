import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import formatting as q


def plain(text):
    """Return text with ordinary spaces, for readable expectations."""
    return text.replace(q.THIN, " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (-1e-17, "0"),
        (0.0312, "0.031"),
        (0.4496, "0.45"),
        (0.996, "1.0"),
        (3.999743, "4.0"),
        (15.147, "15.1"),
        (99.96, "100"),
        (177.9957, "178"),
        (1066.2, "1,066"),
        (-0.25, "-0.25"),
    ],
)
def test_a_figure_has_two_or_three_digits_that_matter(value, text):
    """More digits would claim a precision nobody measured."""
    assert text == q.figure(value)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (-0.0, "0 %"),
        (1.0, "100 %"),
        (0.37, "37 %"),
        (0.374, "37 %"),
        (0.955, "95.5 %"),
        (0.99953947, "99.95 %"),
        (0.9999934, "99.999 %"),
        (0.0000004, "0.00004 %"),
    ],
)
def test_a_ratio_is_100_percent_only_when_it_is_whole(ratio, text):
    """Rounding a loss away would hide the one thing that matters."""
    assert text == plain(q.percent(ratio))


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_no_loss_is_ever_rounded_away(pair):
    """A single delivery lost of a billion still shows."""
    received, owed = pair
    text = plain(q.percent(received / owed))
    assert (received == owed) == (text == "100 %")
    assert (received == 0) == (text == "0 %")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.178, "0.18 s"),
        (18.0, "18 s"),
        (18.4, "18.4 s"),
        (90, "90 s"),
        (250, "4 min 10 s"),
        (3600, "60 min"),
    ],
)
def test_a_length_of_time_is_in_seconds_or_minutes(seconds, text):
    """Long ones are read in minutes."""
    assert text == plain(q.seconds(seconds))


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("fan_out_latency_ms.p99", 63.99, "64.0 ms"),
        ("fan_out_latency_ms.max", 12_345.0, "12.3 s"),
        ("stall_s.max", 0.178, "0.18 s"),
        ("stall_s.over_10s_ratio", 0.0213, "2 %"),
        ("recovery_s.max", 3.0, "3 s"),
        ("deliveries.ratio", 1.0, "100 %"),
        ("deliveries.per_s_mean", 4222.2, "4,222/s"),
        ("joins.per_s_peak", 200, "200/s"),
        ("generator.rss_bytes_peak", 90_000_000, "90 MB"),
        ("generator.rss_bytes_peak", 1_540_000_000, "1.5 GB"),
        ("joins.failed", 13, "13"),
        ("joins.failed", None, "–"),
    ],
)
def test_a_summary_figure_takes_its_unit_from_its_name(metric, value, text):
    """Names carry units, so nobody has to look them up."""
    assert text == plain(q.of_metric(metric, value))


@pytest.mark.parametrize(
    ("metric", "limit", "text"),
    [
        ("fan_out_latency_ms.p99", 1024.5, "1,024.5 ms"),
        ("deliveries.ratio", 0.99945, "99.945 %"),
        ("stall_s.max", 2.25, "2.25 s"),
        ("stall_s.over_1s_ratio", 0.015, "1.5 %"),
        ("recovery_s.max", 5.5, "5.5 s"),
        ("deliveries.per_s_mean", 0.125, "0.125/s"),
        ("generator.rss_bytes_peak", 512, "512 B"),
        ("joins.failed", 0.0, "0"),
    ],
)
def test_a_limit_keeps_every_digit(metric, limit, text):
    """It was given, not measured."""
    assert text == plain(q.of_metric(metric, limit, exact=True))


@pytest.mark.parametrize(
    ("usd", "text"),
    [(-6.84, "−$6.84"), (-1234.0, "−$1,234"), (-0.0042, "−$0.0042"), (3.46, "$3.46")],
)
def test_less_than_nothing_has_its_sign_before_the_dollar(usd, text):
    """Differences of costs go both ways."""
    assert text == q.money(usd)
