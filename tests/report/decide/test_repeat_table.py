from harness.report.decide.repeat_table import repeat_table


def run_json(verdict, p99_ms, seed=1, clock_error_ms=0.0):
    latency = {"p50": p99_ms / 2, "p95": p99_ms - 1, "p99": p99_ms}
    summary = {
        "verdict": verdict,
        "exit_code": {"pass": 0, "invalid": 4}[verdict],
        "fan_out_latency_ms": latency,
        "deliveries": {"ratio": 1.0, "lost": 0},
        "generator": {"clock_error_ms": clock_error_ms},
    }
    return {"plan": {"workload": {"seed": seed}}, "summary": summary}


def texts(table):
    return {row[0].text: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_median_and_range_are_of_the_valid_runs():
    """An invalid run stays in the table, with its verdict, and is not mixed with the others."""
    runs = {"1": run_json("pass", 20.0), "2": run_json("invalid", 900.0, seed=2)}
    runs |= {"3": run_json("pass", 30.0, seed=3)}
    table = repeat_table(runs, 3)
    found = texts(table)
    assert "3 runs" == table.title
    assert ("2", "! Invalid", "4") == tuple(
        found["2"][name].text for name in ("Seed", "Verdict", "Exit code")
    )
    assert "25" in found["Median"]["p99"].text
    low, high = found["Lowest to highest"]["p99"].text.split(" – ")
    assert low.startswith("20")
    assert high.startswith("30")
    assert "Median and range are those of the 2 valid runs." == table.note


def test_a_series_cut_short_says_how_many_runs_there_were_to_be():
    """A run that was not judged has a row too."""
    table = repeat_table({"1": {"plan": {}}}, 3)
    assert "1 of 3 runs" == table.title
    assert "not judged" == texts(table)["1"]["Verdict"].text
    assert 1 == len(table.rows)


def test_no_figure_is_below_the_clock_error():
    """Neither a run's nor the range's."""
    found = texts(repeat_table({"1": run_json("pass", 2.0, clock_error_ms=5.0)}, 1))
    assert found["1"]["p99"].text.startswith("≤")
    assert found["Lowest to highest"]["p99"].text.startswith("≤")
