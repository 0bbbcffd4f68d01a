"""A run's folder belongs to one run from the start."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from harness.cli.new_folder import new_folder
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode


def test_only_one_of_two_runs_gets_a_folder(tmp_path: Path) -> None:
    """The other one ends with exit code 2 and touches nothing."""
    with new_folder(tmp_path / "run") as folder:
        (folder / "run.json").touch()
        with pytest.raises(MachineError, match="exists already, a run's folder must be new") as end:
            new_folder(folder).__enter__()
    assert end.value.exit_code == ExitCode.BAD_USAGE
    assert [folder / "run.json"] == list(folder.iterdir())


def test_default_names_that_collide_differ_by_a_number(tmp_path: Path) -> None:
    """Runs that start in the same second all get a folder of their own."""
    both = Barrier(4)

    def claim(_number: int) -> str:
        with new_folder(tmp_path / "reports" / "run", may_differ=True) as folder:
            both.wait(60)
            return folder.name

    with ThreadPoolExecutor(4) as pool:
        assert {"run", "run-2", "run-3", "run-4"} == set(pool.map(claim, range(4)))


def test_folder_that_stays_empty_is_removed_with_its_new_parents(tmp_path: Path) -> None:
    """A run that never began leaves nothing, and what others made stays."""
    with new_folder(tmp_path / "new" / "reports" / "run"):
        (tmp_path / "new" / "other").mkdir()
    assert [tmp_path / "new" / "other"] == list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("path", ["file/run", "new/../file/that/exists", "run" * 200])
def test_place_that_cannot_be_a_folder_is_one_sentence(tmp_path: Path, path: str) -> None:
    """Whatever the operating system says of it, and nothing is left behind."""
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot be written") as end:
        new_folder(tmp_path / path, may_differ=True).__enter__()
    assert end.value.exit_code == ExitCode.BAD_USAGE
    assert [tmp_path / "file"] == list(tmp_path.iterdir())
