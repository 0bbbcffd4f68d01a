from pathlib import Path

import pytest

from harness.cli.validate import validate
from harness.core.errors import ScenarioError
from harness.core.exit_codes import ExitCode
from tests.support.paths import SCENARIOS

QUICKSTART = SCENARIOS / "workloads" / "quickstart.toml"
EMULATED = SCENARIOS / "targets" / "appsync-events-emulated.toml"
AWS = SCENARIOS / "targets" / "appsync-events-aws.toml"


def test_good_files_get_a_line_each(capsys, monkeypatch):
    """Each file is told apart and summed up, and a real one names the variables it will need."""
    for name in ("APPSYNC_HTTP_HOST", "APPSYNC_REALTIME_HOST", "APPSYNC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    validate([str(QUICKSTART), str(EMULATED), str(AWS)])
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


def test_ordinary_users_are_counted_with_the_others(capsys):
    """They are part of the load."""
    validate([str(SCENARIOS / "workloads" / "mixed.toml")])
    assert "180 subscribers and 20 chatters, 20 Browser, " in capsys.readouterr().out


def test_a_study_gets_its_line_too(capsys):
    """With what is in it."""
    file = SCENARIOS / "studies" / "sse-vs-appsync.toml"
    validate([str(file)])
    words = "study sse-vs-appsync, 6 systems and 3 workloads, 5 requirements"
    assert f"{file}: {words}\n" == capsys.readouterr().out


def test_names_of_any_kind_are_validated_from_any_folder(tmp_path, monkeypatch, capsys):
    """A name stands for the file that comes with the harness, SLO files too."""
    monkeypatch.chdir(tmp_path)
    validate(["quickstart", "live-chat"])
    workload, slos = capsys.readouterr().out.splitlines()
    assert workload.startswith(f"{QUICKSTART}: workload quickstart, ")
    assert f"{SCENARIOS / 'slos' / 'live-chat.toml'}: 5 SLOs" == slos


def test_unknown_names_are_problems_like_others(tmp_path, monkeypatch):
    """All of them are reported at once."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScenarioError) as caught:
        validate(["quikstart", "quickstart", "life-chat"])
    assert ["quikstart", "life-chat"] == [problem.file for problem in caught.value.problems]


def test_problems_of_all_files_come_together_and_good_files_still_get_their_line(write, capsys):
    """One bad file hides neither the next bad one nor the good ones."""
    first = write("first.toml", "[population]\nsubscribers = -1\n")
    second = first.with_name("second.toml")
    with pytest.raises(ScenarioError) as caught:
        validate([str(first), str(EMULATED), str(second)])
    files = {problem.file for problem in caught.value.problems}
    assert {str(first), str(second)} == files
    assert ExitCode.BAD_USAGE == caught.value.exit_code
    assert capsys.readouterr().out.startswith(f"{EMULATED}: target")


def test_files_that_a_study_names_are_validated_too(write):
    """What the study would refuse is refused, each file with its own problems."""
    text = (SCENARIOS / "studies" / "sse-vs-appsync.toml").read_text(encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        validate([str(write("studies/mine.toml", text))])
    problems = caught.value.problems
    assert {"must be a file that exists"} == {problem.rule for problem in problems}
    named = {Path(problem.file).name for problem in problems}
    assert 9 == len(problems) == len(named)
    assert "appsync-events-emulated.toml" in named


def test_missing_file_of_a_target_is_refused_as_a_run_would(write):
    """Whereas a variable need not be set where a file is checked."""
    text = AWS.read_text(encoding="utf-8") + '\n[tls]\nca_file = "own.pem"\n'
    with pytest.raises(ScenarioError) as caught:
        validate([str(write("mine.toml", text))])
    assert ["tls.ca_file"] == [problem.key for problem in caught.value.problems]


def test_proxy_of_the_environment_is_named_without_its_password(write, capsys, monkeypatch):
    """In the line of its target."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.test:3128")
    text = AWS.read_text(encoding="utf-8").replace("${APPSYNC_REALTIME_HOST}", "chat.test")
    validate([str(write("mine.toml", text))])
    shown = capsys.readouterr().out
    assert shown.endswith(", through the proxy proxy.test:3128\n")
    assert "secret" not in shown
