import re

from tests.support.runs import LONG, after

LIMIT_MS = 200.0


def too_slow(launcher):
    """Run on an emulator that delays every delivery by twice what an objective allows."""
    settings = {
        "target.emulator.faults": '[{"kind" = "delay", "delay_ms" = 400}]',
        "slos.2.limit": LIMIT_MS,
        "slos.2.abort": "true",
        "slos.2.abort_after_s": 2.0,
    }
    return launcher.run(LONG | settings).outcome()


@after(too_slow)
def test_objective_with_abort_ends_the_run_in_order_as_failed(outcome):
    """Exit 3 after the grace time; terminal, page and summary say which, when and with what."""
    assert (3, []) == (outcome.exit_code, outcome.left)
    run = outcome.run
    assert ("aborted", "slo_failed") == (run["status"], run["cause"]["code"])
    assert "fail" == run["verdict"]
    found = re.fullmatch(
        r"stopped by an objective at second (\d+) of \d+ "
        r"\(fan-out latency p99: [\d.]+ ms, where at most 200 ms is required\)",
        run["cause"]["message"],
    )
    assert found is not None
    measure = next(phase for phase in run["phases"] if phase["name"] == "measure")
    assert measure["start_s"] + 2.0 <= int(found[1]) <= run["ended_s"] + 1
    assert run["ended_s"] < measure["end_s"]
    start = f"Stopped by an objective at second {found[1]}"
    assert start in " ".join(outcome.stdout.split())
    for page in ("report.html", "summary.md"):
        assert start in (outcome.folder / page).read_text("utf-8")


@after(too_slow)
def test_record_of_a_run_that_an_objective_stopped_is_whole(outcome):
    """Every connection has its row, and nothing of it is invalid."""
    assert not any(warning["invalidates"] for warning in outcome.summary["warnings"])
    assert outcome.summary["joins"]["succeeded"] == len(outcome.table("connections"))
    assert outcome.summary["fan_out_latency_ms"]["p99"] >= 2 * LIMIT_MS
