import pytest

from harness.analysis.run.finalize import analyse
from tests.support.records import (
    PHASES,
    histogram,
    publish,
    run_file,
    second,
    three_subscribers,
    worker_second,
)


def judged(folder, rows=None, **changes):
    """Return the summary of a run whose measured seconds are 4 to 9, with these workers' rows."""
    timeline = [second(number) for number in range(4, 10)]
    tables = {"timeline": timeline} | ({} if rows is None else {"generator": rows}) | changes
    return analyse(three_subscribers(folder, **tables)).summary


def worker_seconds(**changes):
    """Return twelve seconds of a worker, changed while it measures."""
    return [worker_second(number, **(changes if 4 <= number < 10 else {})) for number in range(12)]


def codes(summary):
    return [warning["code"] for warning in summary["warnings"] if warning["invalidates"]]


def test_a_worker_at_ease_raises_nothing(tmp_path):
    """The figures are there and all inside their limits."""
    summary = judged(tmp_path / "run", worker_seconds())
    assert [] == codes(summary)
    assert summary["generator"]["valid"]


@pytest.mark.parametrize(
    ("changes", "code", "remedy"),
    [
        ({"cpu_ratio": 0.97}, "generator_cpu", "use more workers"),
        ({"cpu_wait_ratio": 0.8}, "generator_cpu_wait", "run the system elsewhere"),
        (
            {"machine_idle_ratio": 0.0, "machine_others_ratio": 0.4},
            "machine_crowded",
            "stop them and run again",
        ),
        ({"gc_pause_ms_max": 600.0}, "generator_gc_pause", "use more workers"),
        ({"clock_step_ms": -30.0}, "clock_step", "run again"),
    ],
)
def test_a_worker_past_a_limit_makes_the_run_invalid(tmp_path, changes, code, remedy):
    """One warning names the cause and what to do; the exit code is 4."""
    summary = judged(tmp_path / "run", worker_seconds(**changes))
    assert [code] == codes(summary)
    assert 4 == summary["exit_code"]
    assert remedy in summary["warnings"][0]["hint"]


@pytest.mark.parametrize(
    ("tag", "value_ms", "code"),
    [
        ("loop_lag.generator.measure", 1500, "generator_stopped"),
        ("receive_delay.subscriber.measure", 1500, "generator_receive_delay"),
    ],
)
def test_one_long_wait_among_many_short_ones(tmp_path, tag, value_ms, code):
    """A loop that stood still once is caught where its 99th percentile is still fine."""
    values = [1] * (300 if code == "generator_stopped" else 0) + [value_ms]
    assert [code] == codes(judged(tmp_path / "run", histograms=[(tag, 5, histogram(*values))]))


def test_busy_neighbours_do_no_harm_while_a_core_is_idle(tmp_path):
    """Half the machine is others', but nothing of ours had to wait for it."""
    rows = worker_seconds(machine_idle_ratio=0.3, machine_others_ratio=0.5)
    assert [] == codes(judged(tmp_path / "run", rows))


def test_busy_neighbours_do_no_harm_to_a_system_elsewhere(tmp_path):
    """Only an emulated system shares the machine with them."""
    run = run_file()
    run["plan"]["target"]["emulated"] = False
    rows = worker_seconds(machine_idle_ratio=0.0, machine_others_ratio=0.9)
    summary = judged(tmp_path / "run", rows, run=run)
    assert [] == codes(summary)
    assert summary["generator"]["machine_others_ratio_peak"] is None


def test_a_clock_step_counts_in_any_phase(tmp_path):
    """A step while users joined shifts every later time as well."""
    rows = [worker_second(number, clock_step_ms=25.0 * (number == 1)) for number in range(12)]
    assert ["clock_step"] == codes(judged(tmp_path / "run", rows))


def test_late_slots_are_a_share_of_the_measured_messages(tmp_path):
    """One message of two left 200 ms after its time, where 1 % may."""
    late = publish(1, 7.0)
    late["sent_ns"] += 200_000_000
    summary = judged(tmp_path / "run", publishes=[publish(0, 5.0), late])
    assert 0.5 == summary["generator"]["late_slots_ratio"]
    assert ["generator_late_slots"] == codes(summary)


def test_the_peak_of_the_receive_backlog_is_the_worst_workers_while_measuring(tmp_path):
    """It has no limit of its own: what waited long makes the receive delay pass its own."""
    rows = [worker_second(number, receive_backlog=7_000 * (number == 1)) for number in range(12)]
    rows += [worker_second(number, worker=1, receive_backlog=10 * number) for number in range(12)]
    summary = judged(tmp_path / "run", rows)
    assert 90 == summary["generator"]["receive_backlog_peak"]
    assert [] == codes(summary)


LONG = [PHASES[0] | {"end_s": 1.0}, {"name": "measure", "start_s": 1.0, "end_s": 41.0}]


@pytest.mark.parametrize(
    ("delay_ms", "growth_ms", "expected"),
    [
        (lambda number: 20.0 * number, 600.0, ["generator_backlog"]),
        (lambda number: 5.0 * number, 150.0, []),
        (lambda number: 900.0 if number % 10 == 5 else 3.0, 0.0, []),
        (lambda number: 900.0 if 15 < number < 25 else 3.0, 0.0, []),
        (lambda number: 300.0 + 40 * (number * 7 % 5), 0.0, []),
        (lambda number: None, None, []),
    ],
    ids=["backlog", "slow growth", "single stalls", "one burst", "noise", "no deliveries"],
)
def test_receive_delay_that_keeps_growing_is_a_backlog(tmp_path, delay_ms, growth_ms, expected):
    """Stalls, bursts and noise are no trend; too little growth does no harm."""
    summary = judged(
        tmp_path / "run",
        [worker_second(number, receive_delay_ms_p99=delay_ms(number)) for number in range(1, 41)],
        timeline=[second(number) for number in range(1, 41)],
        run=run_file(phases=LONG, ended_s=41.0),
    )
    assert growth_ms == summary["generator"]["receive_delay_growth_ms"]
    assert expected == codes(summary)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("EMFILE", "out_of_open_files"),
        ("ENFILE", "out_of_open_files"),
        ("EADDRNOTAVAIL", "out_of_ports"),
    ],
)
def test_a_machine_that_ran_out_of_something_is_not_the_systems_fault(tmp_path, code, expected):
    """A single connect that met the machine's limit makes the run invalid."""
    error = {"second": 1, "worker": 0, "stage": "connect", "error_class": "JoinError"}
    summary = judged(tmp_path / "run", errors=[error | {"code": code, "message": "no", "count": 7}])
    assert [expected] == codes(summary)
    assert 7 == summary["warnings"][0]["observed"]


def test_receives_without_the_kernels_stamp_are_told_and_do_not_invalidate(tmp_path):
    """The latencies then hold the receive delay; that is said, and the run stays valid."""
    rows = [worker_second(number, unstamped_receives=2) for number in range(12)]
    summary = judged(tmp_path / "run", rows)
    assert [] == codes(summary)
    (found,) = summary["warnings"]
    assert ("kernel_timestamps_missing", 24) == (found["code"], found["observed"])


def test_receives_without_the_kernels_stamp_matter_only_where_a_user_joined(tmp_path):
    """A handshake that fails is read without a stamp, and no latency comes of it."""
    rows = [worker_second(number, unstamped_receives=2) for number in range(12)]
    nobody = [second(0, joins_attempted=1, joins_failed=1)]
    summary = judged(tmp_path / "run", rows, timeline=nobody)
    assert "kernel_timestamps_missing" not in {one["code"] for one in summary["warnings"]}
