from pathlib import Path

import pytest

from harness.core.errors import ScenarioError
from harness.core.system import installed_systems
from harness.scenario.keys import keys_of
from harness.scenario.loading import load_emulated_target, load_plan, load_scenario
from harness.scenario.paths import _kind_of
from harness.scenario.target import target_model
from tests.scenario.conftest import WORKLOAD

REAL = """\
name = "real"
system = "appsync-events"
[endpoints]
http = "https://example.org/event"
realtime = "wss://example.org/event/realtime"
"""
EMULATED = """\
name = "emulated"
system = "appsync-events"
emulated = true
"""
HANDLERS = """\
[emulator]
certificate_folder = "kept"
lambda_authorizer = {function = "handlers/auth.py:judge"}
[[emulator.namespaces]]
name = "default"
code = "handlers/chat.js"
data_source = "handlers/auth.py:ask"
[[emulator.namespaces]]
name = "direct"
on_publish = "package.module:on_publish"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of scenarios beside the working directory."""
    (tmp_path / "scenarios" / "handlers").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    for name in ("chat.js", "auth.py"):
        (tmp_path / "scenarios" / "handlers" / name).touch()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def target(place, text):
    file = place / "scenarios" / "target.toml"
    file.write_text(text, encoding="utf-8")
    return file


def complaint(file, *overrides):
    with pytest.raises(ScenarioError) as caught:
        load_emulated_target(file, overrides)
    return str(caught.value).replace(f"{file.parent}/", "")


def test_paths_of_a_file_start_at_its_folder(place):
    """In tables, in tables of arrays, in names of functions; a module's name is no path."""
    file = target(place, EMULATED + HANDLERS)
    handlers = file.parent / "handlers"
    loaded = load_emulated_target(Path("../scenarios/target.toml")).emulator
    first, second = loaded.namespaces
    assert str(file.parent / "kept") == loaded.certificate_folder
    assert f"{handlers}/auth.py:judge" == loaded.lambda_authorizer.function
    assert (f"{handlers}/chat.js", f"{handlers}/auth.py:ask") == (first.code, first.data_source)
    assert "package.module:on_publish" == second.on_publish


def test_absolute_path_stays(place):
    """It is where it says."""
    code = place / "scenarios" / "handlers" / "chat.js"
    text = EMULATED + f'[[emulator.namespaces]]\nname = "default"\ncode = "{code}"\n'
    assert str(code) == load_emulated_target(target(place, text)).emulator.namespaces[0].code


def test_paths_of_the_command_line_start_at_the_working_directory(place):
    """As everywhere in a shell, also where a whole table is set."""
    file = target(place, EMULATED)
    (place / "work" / "own.js").touch()
    loaded = load_emulated_target(
        file,
        [
            "target.emulator.certificate_folder=kept",
            'target.emulator.namespaces=[{name = "default", code = "own.js"}]',
        ],
    ).emulator
    assert str(place / "work" / "kept") == loaded.certificate_folder
    assert str(place / "work" / "own.js") == loaded.namespaces[0].code


def test_missing_files_are_all_named(place):
    """With the place where they were looked for, and the flag that named them."""
    file = target(place, EMULATED + HANDLERS.replace("chat.js", "chta.js"))
    found = complaint(file, "target.emulator.lambda_authorizer.function=own.py:judge")
    rule = "must be a file that exists, got"
    assert sorted(found.splitlines()) == [
        f'--set: target.emulator.lambda_authorizer.function {rule} "own.py"',
        f"hint: the resolved path is {place / 'work' / 'own.py'}",
        "hint: the resolved path is handlers/chta.js",
        f'target.toml: emulator.namespaces.0.code {rule} "handlers/chta.js"',
    ]


def test_file_that_lies_in_the_working_directory_is_refused_with_its_path(place):
    """What was found there once is not taken silently, nor is another folder made."""
    (place / "work" / "own.js").touch()
    (place / "work" / "kept").mkdir()
    text = '[emulator]\ncertificate_folder = "kept"\n[[emulator.namespaces]]\nname = "default"\n'
    found = complaint(target(place, EMULATED + text + 'code = "own.js"\n'))
    rule = "paths in a file are relative to that file"
    assert found.splitlines() == [
        'target.toml: emulator.certificate_folder must be a folder, got "kept"',
        f'hint: {rule}: "../work/kept"',
        'target.toml: emulator.namespaces.0.code must be a file that exists, got "own.js"',
        f'hint: {rule}: "../work/own.js"',
    ]


@pytest.mark.parametrize(
    "auth",
    [
        'mode = "oidc"\ntoken_file = "mine.txt"',
        'mode = "cognito"\nusers_file = "mine.txt"\npassword_env = "PASSWORD"\nclient_id = "c"',
    ],
)
def test_files_of_credentials_are_found_and_missed_alike(place, auth, monkeypatch):
    """A run, and ``harness validate``, refuse what is not there."""
    monkeypatch.setenv("PASSWORD", "x")
    file = target(place, f"{REAL}[auth]\n{auth}\n")
    workload = place / "workload.toml"
    workload.write_text(WORKLOAD, encoding="utf-8")
    said = []
    for load in (load_scenario, lambda file: load_plan(workload, file)):
        with pytest.raises(ScenarioError) as caught:
            load(file)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert 'must be a file that exists, got "mine.txt"' in said[0]
    (file.parent / "mine.txt").touch()
    auth = load_plan(workload, file).target.auth
    assert str(file.parent / "mine.txt") in {auth.token_file, auth.users_file}


@pytest.mark.parametrize("system", sorted(installed_systems()))
def test_key_whose_name_says_file_or_folder_is_marked_as_a_path(system):
    """The rule for paths holds for all of them, in every system."""
    keys = keys_of(target_model(system))
    named = [one for one in keys if one.name.endswith(("_file", "_folder"))]
    assert named
    assert [] == [one.path for one in named if _kind_of(one.field) is None]
