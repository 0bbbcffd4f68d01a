from pathlib import Path

import pytest

from harness.core.errors import ScenarioError
from harness.scenario.loading import load_plan
from harness.scenario.plan import Plan

WORKLOAD = """\
name = "small"
[population]
subscribers = 9
chatters = 1
[joins]
rate_per_s = 2.0
[publishing]
rate_per_s = 4.0
[phases]
settle_s = 1.0
warm_up_s = 2.0
measure_s = 5.0
drain_s = 1.0
"""

TARGET = """\
name = "emulated"
system = "appsync-events"
emulated = true
"""

REAL_TARGET = """\
name = "real"
system = "appsync-events"
[endpoints]
http = "https://${HTTP_HOST}/event"
realtime = "wss://${REALTIME_HOST}/event/realtime"
[auth]
api_key_env = "REAL_KEY"
"""


class Scenario:
    """A folder with a workload and a target that a test may write anew."""

    def __init__(self, folder: Path) -> None:
        self.workload = folder / "workload.toml"
        self.target = folder / "target.toml"
        self.write()

    def write(self, workload=WORKLOAD, target=TARGET):
        self.workload.write_text(workload, encoding="utf-8")
        self.target.write_text(target, encoding="utf-8")

    def plan(self, *overrides, **flags) -> Plan:
        return load_plan(self.workload, self.target, overrides=overrides, **flags)

    def outcome(self, *overrides) -> Plan | ScenarioError:
        try:
            return self.plan(*overrides)
        except ScenarioError as error:
            return error

    def complaint(self, *overrides, **flags) -> str:
        """All that is wrong, with the folder taken out of the file names."""
        with pytest.raises(ScenarioError) as caught:
            self.plan(*overrides, **flags)
        return str(caught.value).replace(f"{self.workload.parent}/", "")


@pytest.fixture
def scenario(tmp_path):
    return Scenario(tmp_path)
