from pathlib import Path

import pytest

from harness.cli.validate import validate
from harness.core.errors import ScenarioError
from harness.core.exit_codes import ExitCode

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
QUICKSTART = SCENARIOS / "workloads" / "quickstart.toml"
EMULATED = SCENARIOS / "targets" / "appsync-events-emulated.toml"
AWS = SCENARIOS / "targets" / "appsync-events-aws.toml"


def test_good_files_get_a_line_each(capsys, monkeypatch):
    """Each file is told apart and summed up, and a real one names the variables it will need."""
    for name in ("APPSYNC_HTTP_HOST", "APPSYNC_REALTIME_HOST", "APPSYNC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    validate([QUICKSTART, EMULATED, AWS])
    assert [
        (
            f"{QUICKSTART}: workload quickstart, 900 subscribers and 100 chatters, 4 messages/s, "
            "5 SLOs"
        ),
        f"{EMULATED}: target appsync-events-emulated, appsync-events, emulated",
        (
            f"{AWS}: target appsync-events-aws, appsync-events, not emulated, needs "
            "APPSYNC_HTTP_HOST, APPSYNC_REALTIME_HOST, APPSYNC_API_KEY"
        ),
    ] == capsys.readouterr().out.splitlines()


def test_a_study_gets_its_line_too(capsys):
    """With what is in it."""
    file = SCENARIOS / "studies" / "sse-vs-appsync.toml"
    validate([file])
    words = "study sse-vs-appsync, 6 systems and 3 workloads, 5 requirements"
    assert f"{file}: {words}\n" == capsys.readouterr().out


def test_problems_of_all_files_come_together_and_good_files_still_get_their_line(tmp_path, capsys):
    """One bad file hides neither the next bad one nor the good ones."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text("[population]\nsubscribers = -1\n", encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        validate([first, EMULATED, second])
    files = {problem.file for problem in caught.value.problems}
    assert {str(first), str(second)} == files
    assert ExitCode.BAD_USAGE == caught.value.exit_code
    assert capsys.readouterr().out.startswith(f"{EMULATED}: target")
