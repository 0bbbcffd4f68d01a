"""Systems are found by entry points, and one that is broken disturbs no other."""

import dataclasses

import pytest

from harness.core.errors import MachineError
from harness.core.system import (
    GROUP,
    System,
    broken_registration,
    installed_systems,
    registrations,
    system_named,
)
from tests.support.installing import CHAT

OURS = ["api-gateway-websocket", "appsync-events", "hybrid", "polling", "server-sent-events"]
CLIENT = "harness.systems.polling.client.poller:PollingApi"


def test_our_systems_come_by_entry_points_like_all_others():
    """The group in the package's own metadata is where they are found."""
    ours = [found for found in registrations() if found.distribution == "fanout-harness"]
    assert OURS == [found.name for found in ours]
    assert [""] * len(ours) == [found.problem for found in ours]
    assert ["harness.systems.polling:SYSTEM"] == [f.reference for f in ours if f.name == "polling"]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("part", ["emulator_options", "client_options", "auth", "economics"])
def test_parts_of_our_systems_can_be_loaded(name, part):
    """Each reference leads to something; a part that is not there is None."""
    system = system_named(name)
    assert (getattr(system, part) is None) == (system.load(part) is None)


def test_installed_system_is_found_beside_ours(install_system):
    """Another package's is one more name."""
    install_system("chat")
    assert sorted([*OURS, "chat"]) == list(installed_systems())
    (found,) = [found for found in registrations() if found.name == "chat"]
    assert ("chat-system", "1.2") == (found.distribution, found.version)
    assert "chat = chat_of_chat_system:SYSTEM of chat-system 1.2" == str(found)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "import nowhere_at_all",
            "could not be loaded (ModuleNotFoundError: No module named 'nowhere_at_all')",
        ),
        ("", "could not be loaded (AttributeError: module "),
        ("raise ValueError('two\\nlines')", "could not be loaded (ValueError: two lines)"),
        ("import sys\nsys.exit('enough')", "could not be loaded (SystemExit: enough)"),
        ("SYSTEM = 5", "is int, must be a harness System"),
        (
            "from harness.systems.polling import SYSTEM",
            'is called "polling", must have the name of its entry point',
        ),
        (
            CHAT.replace("title=", "colour='red', title="),
            "could not be loaded (ValueError: colour 'red' must be like #0f62ac)",
        ),
    ],
)
def test_broken_entry_point_is_named_and_the_others_work(install_system, source, problem):
    """One sentence says which it is and why; targets of other systems know nothing of it."""
    install_system("chat", source)
    assert list(installed_systems()) == OURS
    assert broken_registration("chat").problem.startswith(problem)
    with pytest.raises(MachineError) as caught:
        system_named("chat")
    entry = "chat = chat_of_chat_system:SYSTEM of chat-system 1.2"
    assert str(caught.value).startswith(f"system chat: is broken: {entry}: {problem}")
    assert "hint: reinstall or repair chat-system; " in str(caught.value)


def test_name_that_is_taken_stays_with_its_first_owner(install_system):
    """Nobody can replace one of ours, nor one of a package that comes before."""
    install_system("polling")
    install_system("chat", distribution="chat-a")
    install_system("chat", distribution="chat-b")
    assert "harness.systems.polling:SYSTEM" == next(
        found.reference for found in registrations() if found.name == "polling" and found.system
    )
    ours, theirs = broken_registration("polling"), broken_registration("chat")
    assert "the name is already taken by fanout-harness 0.1.0" == ours.problem
    assert "the name is already taken by chat-a 1.2" == theirs.problem
    assert "chat_of_chat_a.client:Api" == system_named("chat").client


def test_system_that_is_not_installed_is_named_with_those_that_are():
    """And with how to add one."""
    with pytest.raises(MachineError) as caught:
        system_named("toy-chat")
    assert (
        f"system toy-chat: is not installed, must be one of {', '.join(OURS)}\n"
        "hint: install the package that provides it; harness systems lists what is installed"
    ) == str(caught.value)


def test_installation_without_any_system_is_told_what_to_do(monkeypatch):
    """As a clone is whose installation is older than its entry points."""
    monkeypatch.setattr("harness.core.system.registrations", lambda: ())
    with pytest.raises(MachineError, match="none is: reinstall fanout-harness"):
        system_named("polling")


def test_part_that_cannot_be_imported_is_one_sentence():
    """The system is there, and its client is not."""
    system = System(name="chat", title="Chat", client="nowhere_at_all.client:Api")
    with pytest.raises(MachineError) as caught:
        system.load("client")
    assert str(caught.value).startswith(
        "system chat: its client nowhere_at_all.client:Api could not be imported "
        "(No module named 'nowhere_at_all'), "
    )


def test_part_written_for_another_harness_is_not_to_be_reinstalled():
    """Its package imports a module of ours that is gone: the same version would do so again."""
    system = System(name="chat", title="Chat", client="harness.gone.client:Api")
    with pytest.raises(MachineError) as caught:
        system.load("client")
    assert "hint: install a version for this harness; harness systems" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "Chat"}, "name 'Chat' must be lower-case letters, digits and hyphens"),
        ({"colour": "#fff"}, "colour '#fff' must be like #0f62ac"),
        ({"client": "a b"}, "client 'a b' must be like package.module:attribute"),
    ],
)
def test_system_with_a_wrong_field_cannot_be_made(fields, complaint):
    """What would break a page or an import later is refused at once."""
    with pytest.raises(ValueError, match=complaint):
        System(**{"name": "chat", "title": "Chat", "client": CLIENT} | fields)


def test_system_is_frozen():
    """Nobody changes what all read."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(system_named("polling"), "wildcards", False)  # noqa: B010  mypy knows it is frozen


def test_group_is_part_of_the_interface():
    """Other packages have it in their metadata."""
    assert "harness.systems" == GROUP
