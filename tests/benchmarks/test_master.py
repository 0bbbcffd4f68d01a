import json
import subprocess
import sys

from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S


def test_master_hears_every_worker_and_has_time_to_spare():
    """Twenty workers at full rate: nothing is missed, for a tenth of a core and room to spare."""
    command = [sys.executable, "-m", "benchmarks.master", "--workers", "20", "--seconds", "3"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert 60 == found["reports"]
    assert found["core_s_per_second_of_run"] < 0.5
