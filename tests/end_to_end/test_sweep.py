import json

import pytest

from tests.support.runs import EMULATED, after, lenient, sets

LIMIT_PER_S = 1890
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
settle_s = 0.3
warm_up_s = 0.7
measure_s = 6.0
drain_s = 1.0
[[slos]]
metric = "deliveries.ratio"
op = ">="
limit = 1.0
"""


def swept(launcher):
    """Search from 1,600 to 2,000 deliveries/s with wide limits of the generator."""
    file = launcher.new_folder() / "known.toml"
    file.write_text(WORKLOAD, encoding="utf-8")
    quota = {"target.emulator.quotas.outbound_messages_per_s": LIMIT_PER_S}
    command = ("sweep", file, "--target", EMULATED, "--out", "RECORD", "--step", "300")
    searched = ("--from", "1600", "--to", "2000", "--factor", "1.25", "--reference", file)
    return launcher.harness(*command, *searched, *sets(lenient() | quota)).outcome(110)


@pytest.mark.slow
@after(swept)
def test_the_limit_of_an_emulator_is_found_by_its_backlog(outcome):
    """No delivery is lost and no SLO fails above the limit: only the latency that grows tells."""
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    (cell,) = json.loads((outcome.folder / "sweep.json").read_text("utf-8"))["cells"]
    assert "found" == cell["result"]
    assert [1600, 2000, 1800] == [step["load"] for step in cell["steps"]]
    assert (1800, 2000) == (cell["capacity"], cell["not_held_at"])
    assert abs(cell["capacity"] / LIMIT_PER_S - 1) <= 0.05
    broken = [step for step in cell["steps"] if step["answer"] == "broke"]
    assert all(step["has_backlog"] and not step["broken"] for step in broken)
    assert outcome.stdout.startswith("capacity: ")
    assert (outcome.folder / "sweep.html").is_file()
