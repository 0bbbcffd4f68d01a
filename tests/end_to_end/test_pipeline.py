"""The steps of action.yml, run as GitHub runs them: green, red by a planted regression, warned.

The service is an emulator in a process of its own, which a pipeline cannot tell from a release.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.core.exit_codes import ExitCode
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.runs import lenient, sets
from tests.support.waiting import PATIENCE_S, wait_for

pytestmark = pytest.mark.slow

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "run" in step}
SLOWER_MS = 9000
OTHER_PROCESSOR = "Another Processor 9000"
RULES = "fan_out_latency_ms.p99 +30% and +5000 ms\ndeliveries.lost +0\n"


PATIENT = lenient() | {"phases.settle_s": 3, "phases.drain_s": 20, "slos.3.limit": 60_000}
"""A busy machine breaks none of these; the last is that of the latency."""


class Pipeline:
    """A repository with a load test, whose service is reached at a port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._ours = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SSE_PUBLISH_URL": f"http://127.0.0.1:{port}/pub/{{channel}}",
            "SSE_STREAM_URL": f"http://127.0.0.1:{port}/sub/{{channel}}",
            "SSE_TOKEN": "not-asked-for",
            "GITHUB_SHA": "0123456",
            "GITHUB_ACTION_PATH": str(ROOT),
        }

    def harness(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a verb."""
        return self._finished("harness", *arguments)

    def step(self, name: str, **given: str) -> subprocess.CompletedProcess[str]:
        """Run a step of the action with inputs, in the shell that GitHub gives it."""
        inputs = {key: str(each.get("default", "")) for key, each in ACTION["inputs"].items()}
        inputs |= {key.replace("_", "-"): value for key, value in given.items()}
        step = STEPS[name]
        values = {
            key: inputs[value.removeprefix("${{ inputs.").removesuffix(" }}")]
            for key, value in step["env"].items()
        }
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
        return self._finished(*shell, **values)

    def run_and_compare(self, out: str) -> tuple[int, subprocess.CompletedProcess[str]]:
        """Run and compare with the baseline; return the run's code, and how the other ended."""
        scenario = {"workload": "live", "target": "service", "locustfile": "locustfile.py"}
        scenario["arguments"] = " ".join(sets(PATIENT))
        run = self.step("Run", out=out, **scenario)
        compared = self.step("Compare with the baseline", out=out, baseline=BASELINE, fail_if=RULES)
        return run.returncode, compared

    def _finished(self, *command: str, **values: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._ours | values,
            capture_output=True,
            text=True,
            check=False,
            timeout=4 * PATIENCE_S,
        )


BASELINE = "baseline.tar.xz"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Return a port, and a function that releases the service there, with faults or without."""
    folder, port, running = tmp_path_factory.mktemp("service"), free_port(), []

    def end():
        while running:
            process = running.pop()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)

    def release(*faults):
        end()
        (folder / "target.toml").write_text(
            'name = "x"\nsystem = "server-sent-events"\nemulated = true\n[auth]\nmode = "none"\n'
            f"[emulator]\nport = {port}\n" + "".join(faults),
            encoding="utf-8",
        )
        command = (sys.executable, "-m", "harness", "emulate", "target.toml", "--json")
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        running.append(process)
        wait_for(process.stdout.readline, "the service to listen")

    yield port, release
    end()


@pytest.fixture(scope="module")
def pipeline(service, tmp_path_factory):
    """Return a pipeline that has run once and kept that run as its baseline."""
    port, release = service
    release()
    made = Pipeline(tmp_path_factory.mktemp("repository"), port)
    assert 0 == made.harness("init", "--system", "server-sent-events").returncode
    run, compared = made.run_and_compare("reports/first")
    assert 0 == run, compared.stderr
    assert 0 == compared.returncode
    assert f"::notice::no baseline at {BASELINE} yet" in compared.stdout
    assert 0 == made.harness("baseline", "save", "reports/first", "--out", BASELINE).returncode
    return made


def test_the_same_service_is_green_and_another_processor_is_a_warning(service, pipeline):
    """Unchanged code passes; on a runner with another processor too, which is told."""
    _, release = service
    release()
    run, compared = pipeline.run_and_compare("reports/same")
    assert (0, 0) == (run, compared.returncode), compared.stdout + compared.stderr
    assert OTHER_PROCESSOR not in compared.stdout + compared.stderr
    file = pipeline.folder / "reports/same/run.json"
    record = json.loads(file.read_bytes())
    record["environment"]["cpu_model"] = OTHER_PROCESSOR
    file.write_text(json.dumps(record), encoding="utf-8")
    elsewhere = pipeline.step(
        "Compare with the baseline", out="reports/same", baseline=BASELINE, fail_if=RULES
    )
    assert 0 == elsewhere.returncode, elsewhere.stdout + elsewhere.stderr
    assert OTHER_PROCESSOR in elsewhere.stdout + elsewhere.stderr


def test_a_slower_service_is_red_by_the_rule_that_it_breaks(service, pipeline):
    """Every delivery is held up for nine seconds: the comparison fails, and names the rule."""
    _, release = service
    release(f'[[emulator.faults]]\nkind = "delay"\ndelay_ms = {SLOWER_MS}\n')
    run, compared = pipeline.run_and_compare("reports/slower")
    assert ExitCode.PASS == run
    assert ExitCode.SLO_FAILED == compared.returncode, compared.stdout + compared.stderr
    assert "fan_out_latency_ms.p99" in compared.stdout + compared.stderr
