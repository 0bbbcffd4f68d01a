import re

import pytest

from benchmarks import report_time
from tests.support.paths import ROOT

SAMPLE = ROOT / "reports" / "sample"


@pytest.mark.slow
@pytest.mark.parametrize(("most_s", "code"), [(300.0, 0), (0.001, 1)])
def test_seconds_and_memory_of_the_sample_are_told_and_judged(monkeypatch, capsys, most_s, code):
    """The record is left as it is."""
    before = {file: file.stat().st_mtime_ns for file in SAMPLE.rglob("*")}
    monkeypatch.setattr("sys.argv", ["report_time", str(SAMPLE)])
    monkeypatch.setattr(report_time, "MOST_S", most_s)
    assert code == report_time.main()
    told = capsys.readouterr().out
    printed = re.match(r"(\d+\.\d) s of at most .*, ([\d,]+) MiB at the peak", told)
    assert printed is not None
    assert float(printed[1]) > 0.1
    assert int(printed[2].replace(",", "")) > 50
    assert before == {file: file.stat().st_mtime_ns for file in SAMPLE.rglob("*")}


def test_a_record_that_is_not_there_is_a_sentence(monkeypatch, capsys, tmp_path):
    """No traceback."""
    monkeypatch.setattr("sys.argv", ["report_time", str(tmp_path / "none")])
    assert 2 == report_time.main()
    assert "no such folder, a run's own folder is needed" in capsys.readouterr().err
