import io
import lzma
import shutil
import tarfile

import pytest

from harness.analysis.decide import baseline
from harness.analysis.decide.baseline import BaselineError, opened_baseline, save_baseline
from harness.analysis.run.finalize import analyse, finalize
from harness.core.errors import MachineError
from tests.support.paths import ROOT
from tests.support.simulated_run import Simulation


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("baseline") / "first"
    finalize(Simulation(subscribers=18, chatters=2).write(folder))
    (folder / "report.html").write_text("a page")
    return folder


def test_a_baseline_holds_what_an_analysis_reads(run, tmp_path):
    """The figures of the unpacked run are those of the run; pages stay behind."""
    file = tmp_path / "baseline.tar.xz"
    size = save_baseline([run], file)
    assert file.stat().st_size == size
    with opened_baseline(file) as (folder,):
        assert "first" == folder.name
        assert analyse(run).summary == analyse(folder).summary
        assert not (folder / "report.html").exists()
    assert not folder.exists()


def test_the_sample_run_makes_a_baseline_below_200_kb(tmp_path):
    """A file to commit."""
    assert save_baseline([baseline_sample()], tmp_path / "file") < 200_000


def baseline_sample():
    """Return the folder of the committed sample."""
    return ROOT / "reports" / "sample"


def test_runs_of_two_series_may_have_the_same_name(run, tmp_path):
    """The runs of every series are called 1, 2 and so on."""
    places = [tmp_path / series / "1" for series in ("first", "second")]
    for place in places:
        shutil.copytree(run, place)
    save_baseline(places, tmp_path / "file")
    with opened_baseline(tmp_path / "file") as folders:
        assert ["0-1", "1-1"] == [one.name for one in folders]


def test_runs_that_make_no_baseline_are_refused(run, tmp_path):
    """One named twice, one that did not end, one that is invalid."""
    file = tmp_path / "baseline.tar.xz"
    with pytest.raises(BaselineError, match="is named twice"):
        save_baseline([run, run], file)
    with pytest.raises(BaselineError, match="was not finished"):
        save_baseline([Simulation().write(tmp_path / "journal")], file)
    invalid = tmp_path / "invalid"
    finalize(Simulation(changes={"ended_s": 3.0, "status": "completed"}).write(invalid))
    with pytest.raises(BaselineError, match="is invalid"):
        save_baseline([invalid], file)
    assert not file.exists()


def test_a_place_that_cannot_be_written_is_an_error(run, tmp_path):
    """In one sentence."""
    with pytest.raises(MachineError, match="the baseline needs a place"):
        save_baseline([run], tmp_path / "missing" / "file")


def archive(file, **members):
    """Write an archive of members by name."""
    with tarfile.open(file, "w:xz") as made:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return file


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "cannot be read"),
        (b"no archive", "cannot be read"),
        (lzma.compress(b"no archive" * 100), "cannot be read"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path, content, found):
    """With how one is made."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BaselineError, match=found), opened_baseline(tmp_path / "file"):
        pass


def test_nothing_is_unpacked_but_the_data_of_runs(tmp_path):
    """Neither outside the folder, nor files that no run has, nor more than fits."""
    members = {"/run.json": b"{}", "run/other.txt": b"x", "a/b/run.json": b""}
    file = archive(tmp_path / "file", **members)
    with pytest.raises(BaselineError, match=r"holds no run\.json"), opened_baseline(file):
        pass
    archive(file, **{"../run.json": b"{}"})
    with pytest.raises(BaselineError, match="outside the destination"), opened_baseline(file):
        pass
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def test_an_archive_that_swells_is_refused(tmp_path, monkeypatch):
    """It comes from elsewhere."""
    monkeypatch.setattr(baseline, "MOST_BYTES", 100)
    file = archive(tmp_path / "file", **{"run/run.json": b" " * 101})
    with pytest.raises(BaselineError, match="holds more than 100 bytes"), opened_baseline(file):
        pass
