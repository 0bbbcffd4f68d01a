import json

from tests.support.paths import ROOT
from tests.support.programs import finished_python


def test_master_hears_every_worker_and_has_time_to_spare():
    """Twenty workers at full rate: nothing is missed, for a tenth of a core and room to spare."""
    arguments = ("--workers", 20, "--seconds", 3)
    done = finished_python("-m", "benchmarks.master", *arguments, cwd=ROOT)
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert 60 == found["reports"]
    assert found["core_s_per_second_of_run"] < 0.5
