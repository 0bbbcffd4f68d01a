import json

import pytest

from tests.support.runs import EMULATED, after, lenient, sets

LIMIT_PER_S, LOAD_PER_S = 1200, 2400
"""Twice the limit: each second the wait grows by another, which no busy machine hides."""
WORKLOAD = """
name = "known-limit"
[population]
subscribers = 90
chatters = 10
[joins]
rate_per_s = 200.0
[publishing]
rate_per_s = 16.0
arrival = "uniform"
[publishing.event_bytes]
distribution = "fixed"
value = 300
[phases]
settle_s = 1.5
warm_up_s = 0.5
measure_s = 6.0
drain_s = 20.0
[[slos]]
metric = "deliveries.ratio"
op = ">="
limit = 1.0
"""


def swept(launcher):
    """Search downwards from twice the limit, with wide limits of the generator."""
    file = launcher.new_folder() / "known.toml"
    file.write_text(WORKLOAD, encoding="utf-8")
    quota = {"target.emulator.quotas.outbound_messages_per_s": LIMIT_PER_S}
    command = ("sweep", file, "--target", EMULATED, "--out", "RECORD", "--step", LOAD_PER_S)
    searched = ("--from", LOAD_PER_S, "--factor", "8", "--reference", file)
    return launcher.harness(*command, *searched, *sets(lenient() | quota)).outcome()


@pytest.mark.slow
@after(swept)
def test_a_load_above_the_limit_of_an_emulator_is_found_by_its_backlog(outcome):
    """No delivery is lost and no SLO fails above the limit: only the latency that grows tells.

    How near a capacity is to the limit, ``benchmarks.capacity`` finds on a machine at rest.
    """
    # Far below the limit nothing piles up, unless the machine is busy: then no load has held.
    assert (True, [], []) == (outcome.exit_code in {0, 3}, outcome.errors, outcome.left)
    (cell,) = json.loads((outcome.folder / "sweep.json").read_text("utf-8"))["cells"]
    above = cell["steps"][0]
    assert (LOAD_PER_S, "broke", True) == (above["load"], above["answer"], above["has_backlog"])
    assert not above["broken"]
    assert LOAD_PER_S == cell["not_held_at"] or "none_held" == cell["result"]
    assert (outcome.folder / "sweep.html").is_file()
