import pytest
from typer.testing import CliRunner

from harness.cli.app import build_app
from harness.cli.distributed import worker_command
from harness.cli.options import PACKAGED_LOCUSTFILE, readable_locustfile
from harness.core.errors import LocustfileError


def test_users_of_the_package_run_where_no_locustfile_is_named():
    """Subscribers and chatters of any system."""
    assert (PACKAGED_LOCUSTFILE, True) == (readable_locustfile(None), PACKAGED_LOCUSTFILE.is_file())


def test_locustfile_is_what_a_worker_runs(tmp_path):
    """As its master does."""
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n", "utf-8")
    command = worker_command("127.0.0.1", 5557, 1, readable_locustfile(file))
    assert str(file) == command[command.index("-f") + 1]


@pytest.mark.parametrize(
    "verb",
    [
        ("run", "quickstart", "--target", "appsync-events-emulated"),
        ("sweep", "quickstart", "--target", "appsync-events-emulated", "--along", "deliveries"),
        ("study", "sse-vs-appsync"),
        ("worker", "--master-host", "127.0.0.1"),
    ],
    ids=lambda verb: verb[0],
)
def test_locustfile_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path, monkeypatch, verb
):
    """By each command that takes one."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(build_app(), [*verb, "--locustfile", "gone.py"])
    assert isinstance(result.exception, LocustfileError)
    assert str(result.exception).startswith("gone.py: does not exist, a locustfile is needed")
    assert [] == list(tmp_path.iterdir())
