import pytest

from harness.measure import environment
from harness.measure.environment import git_revision, harness_version
from tests.support.programs import finished

OURS = '[project]\nname = "fanout-harness"\n'
THEIRS = '[project]\nname = "their-chat"\n'


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    return finished(*command, *arguments, check=True).stdout.strip()


def repository(folder, project):
    """Make a folder a git repository with one commit; return the commit's short name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    return git(folder, "describe", "--always")


@pytest.fixture(autouse=True)
def no_variables_of_git(monkeypatch):
    """Tests that run inside a git hook make repositories of their own all the same."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)


def test_revision_is_that_of_the_harness_own_repository(tmp_path, monkeypatch):
    """In a checkout the revision is the commit, marked where a file has changed."""
    revision = repository(tmp_path, OURS)
    monkeypatch.setattr(environment, "_ROOT", tmp_path)
    assert revision == git_revision() == harness_version()["revision"]
    (tmp_path / "pyproject.toml").write_text(f"{OURS}# changed\n", encoding="utf-8")
    assert f"{revision}-dirty" == git_revision()


@pytest.mark.parametrize("place", [".venv/lib/python3.11/site-packages", "vendor", "."])
def test_repository_around_an_installation_gives_no_revision(tmp_path, monkeypatch, place):
    """Another team's repository says nothing about the harness in its environment."""
    repository(tmp_path, THEIRS)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(environment, "_ROOT", tmp_path / place)
    assert git_revision() is None


def test_variables_of_a_git_hook_do_not_change_the_revision(tmp_path, monkeypatch):
    """A run that a hook of another repository starts still names the harness's own commit."""
    revision = repository(tmp_path / "ours", OURS)
    repository(tmp_path / "theirs", THEIRS)
    monkeypatch.setattr(environment, "_ROOT", tmp_path / "ours")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs/.git"))
    assert revision == git_revision()
