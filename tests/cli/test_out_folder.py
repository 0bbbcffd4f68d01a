import pytest
from typer.testing import CliRunner

from harness.cli.app import build_app
from harness.core.errors import MachineError
from harness.core.exit_codes import ExitCode

QUICKSTART = ("quickstart", "--target", "appsync-events-emulated")


@pytest.mark.parametrize(
    "verb",
    [("run", *QUICKSTART), ("sweep", *QUICKSTART), ("study", "sse-vs-appsync")],
    ids=lambda verb: verb[0],
)
@pytest.mark.parametrize("name", ["a" * 300, "file/below"], ids=["too long", "below a file"])
def test_folder_that_cannot_be_made_is_refused_in_one_sentence(tmp_path, monkeypatch, verb, name):
    """Before anything is run, by each command that makes one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    result = CliRunner().invoke(build_app(), [*verb, "--out", name])
    assert isinstance(result.exception, MachineError)
    assert "cannot be written (" in str(result.exception)
    assert ExitCode.BAD_USAGE == result.exception.exit_code
    assert ["file"] == [each.name for each in tmp_path.iterdir()]
