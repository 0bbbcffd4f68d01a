import json

from tests.support.paths import ROOT
from tests.support.programs import finished_python


def test_master_hears_every_worker():
    """Twenty workers at full rate: nothing is missed. What it costs depends on the machine."""
    arguments = ("--workers", 20, "--seconds", 3)
    done = finished_python("-m", "benchmarks.master", *arguments, cwd=ROOT)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert 60 == found["reports"]
    assert found["core_s_per_second_of_run"] > 0
