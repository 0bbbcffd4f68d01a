import pytest

from harness.core.errors import ScenarioError
from harness.scenario.loading import load_scenario
from tests.scenario.conftest import TARGET, WORKLOAD


def complaint(file) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file)
    return str(caught.value).replace(f"{file.parent}/", "")


def test_missing_file_hints_at_one_with_a_similar_name(scenario):
    """A misspelt file name is answered with the file that is there."""
    assert (
        "worklaod.toml must be a file that exists, got no such file\n"
        "hint: did you mean workload.toml?"
    ) == complaint(scenario.workload.with_name("worklaod.toml"))


def test_missing_file_in_a_missing_folder_is_reported(tmp_path):
    """Nothing is guessed where there is no folder to look in."""
    folder = tmp_path / "none"
    assert (
        "x.toml must be a file that exists, got no such file\n"
        f"hint: the folder {folder} does not exist"
    ) == complaint(folder / "x.toml")


def test_missing_file_like_no_other_says_where_it_was_looked_for(tmp_path):
    """Most often the command was run from another folder."""
    said = complaint(tmp_path / "x.toml")
    assert f"got no such file\nhint: the folder searched is {tmp_path}" in said


def test_folder_in_place_of_a_file_is_reported(tmp_path):
    """A folder is called a folder."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    assert "scenarios must be a file, got a folder" == complaint(folder)


def test_file_that_may_not_be_read_is_reported(scenario, monkeypatch):
    """The system's own reason is passed on."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(scenario.workload), "read_text", refuse)
    assert "workload.toml must be readable, got permission denied" == complaint(scenario.workload)


def test_file_that_is_not_text_is_reported(tmp_path):
    """A file in another encoding names the byte at fault."""
    file = tmp_path / "w.toml"
    file.write_bytes(b'name = "\xe9"\n')
    assert "w.toml must be UTF-8 text, got byte 0xe9 at offset 8" == complaint(file)


def test_file_with_a_byte_order_mark_is_read(tmp_path):
    """Editors on Windows put a mark in front; it does no harm."""
    file = tmp_path / "t.toml"
    file.write_text(TARGET, encoding="utf-8-sig")
    assert "emulated" == load_scenario(file).name


def test_syntax_error_shows_line_and_place(write):
    """What is not TOML is shown with its line, and text without quotes with a hint."""
    assert (
        'w.toml must be TOML: Invalid value (at line 2, column 8), got "name = quickstart"\n'
        'hint: text stands in double quotes: name = "quickstart"'
    ) == complaint(write("w.toml", "seed = 1\nname = quickstart\n"))


def test_syntax_error_on_a_line_with_a_secret_hides_it(write):
    """A key that is pasted without quotes does not end in a log."""
    assert "da2-secret" not in complaint(write("t.toml", "api_key = da2-secret\n"))


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ("x = " + "[" * 5000, "brackets nested too deeply"),
        ("seed = " + "1" * 5000, "must be TOML"),
        ("a = 1\ra = 2", "must be TOML"),
        ("[a", "must be TOML"),
    ],
)
def test_toml_that_the_parser_chokes_on_is_reported(tmp_path, content, finding):
    """Depth, length and odd line ends all end in a sentence."""
    file = tmp_path / "w.toml"
    file.write_text(content, encoding="utf-8", newline="")
    assert finding in complaint(file)


def test_files_in_the_wrong_order_are_told_so(scenario):
    """A target where the workload should be is one problem, not thirty."""
    scenario.write(workload=TARGET, target=WORKLOAD)
    hint = "hint: a run takes the workload first, and the target after --target"
    assert (
        f"workload.toml must be a workload, got a target\n{hint}\n"
        f"target.toml must be a target, got a workload\n{hint}"
    ) == scenario.complaint()


@pytest.mark.parametrize(("folder", "key"), [("workloads", "population"), ("targets", "system")])
def test_empty_file_is_what_its_folder_is_for(write, folder, key):
    """Where no key tells, the folder does, and the missing keys are listed."""
    said = complaint(write(f"{folder}/new.toml", ""))
    assert f"new.toml: {key} must be given, got nothing" in said
