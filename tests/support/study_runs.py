"""A small study with runs that are simulated instead of made."""

import json
from pathlib import Path

import orjson

from harness.analysis.decide.study import StudyCell
from harness.analysis.run.finalize import finalize
from harness.scenario.model import HIDE_SECRETS
from tests.support.paths import SCENARIOS
from tests.support.simulated_run import Simulation

STUDY = """\
name = "pair"
title = "Which of the two?"
problem = "There are two, and one of them is slow."
baseline = "quick"
[need]
connected = 40
chatters = 4
messages_per_day = 86400
joins_per_s = 20
[small]
repeats = 1
[full]
repeats = 2
[[systems]]
name = "quick"
label = "The quick one"
target = "TARGETS/appsync-events-emulated.toml"
priced_as = "appsync-events"
[[systems]]
name = "slow"
label = "The slow one"
target = "TARGETS/appsync-events-emulated.toml"
overrides = ["target.emulator.processes=2"]
priced_as = "server-sent-events"
[[systems]]
name = "gone"
label = "Not there"
target = "TARGETS/no-such-system.toml"
priced_as = "appsync-events"
viewers_poll_every_s = 5.0
[[workloads]]
name = "steady"
label = "A show"
workload = "WORKLOADS/quickstart.toml"
small = ["population.subscribers=36", "population.chatters=4"]
[[requirements]]
about = "connected"
need = "Forty connected"
workload = "steady"
objectives = [{ metric = "joins.failed", op = "==", limit = 0 }]
[[requirements]]
about = "messages"
need = "Soon enough"
workload = "steady"
figures = ["fan_out_latency_ms.p50"]
objectives = [{ metric = "fan_out_latency_ms.p99", op = "<=", limit = 60.0 }]
[[requirements]]
about = "scale_to_zero"
need = "Nothing when idle"
workload = "steady"
objectives = [{ metric = "joins.failed", op = "==", limit = 0 }]
"""


def write_study(folder: Path, text: str = STUDY) -> Path:
    """Write the study file and return its path."""
    file = folder / "pair.toml"
    text = text.replace("TARGETS", str(SCENARIOS / "targets"))
    file.write_text(text.replace("WORKLOADS", str(SCENARIOS / "workloads")), encoding="utf-8")
    return file


def simulate(cell: StudyCell, folder: Path, **changes) -> Path:
    """Write and judge a run that says it ran the cell's plan."""
    assert cell.plan is not None
    finalize(Simulation(measure_s=20, **changes).write(folder))
    run = json.loads((folder / "run.json").read_text())
    assert run["plan"]["workload"]["slos"]
    run["plan"] = cell.plan.model_dump(mode="json", context=HIDE_SECRETS)
    run["status"] = "completed"
    (folder / "run.json").write_bytes(orjson.dumps(run))
    return folder
