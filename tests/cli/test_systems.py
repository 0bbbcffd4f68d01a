from harness.cli.listings import systems


def listed(capsys):
    systems()
    return capsys.readouterr().out.splitlines()


def test_each_system_is_listed_with_its_package_and_parts(capsys):
    """Ours are of this package, at its version."""
    heading, *lines = listed(capsys)
    assert ["NAME", "TITLE", "PACKAGE", "MODULE", "PARTS"] == heading.split()
    (hybrid,) = [line for line in lines if line.startswith("hybrid ")]
    assert [
        *("hybrid", "Hybrid", "fanout-harness", "0.1.0", "harness.systems.hybrid"),
        *("client,", "emulator,", "emulator", "options,", "client", "options,", "economics"),
    ] == hybrid.split()


def test_system_of_another_package_and_broken_ones_are_listed(capsys, install_system):
    """Where it is from, and what is wrong with those that do not work."""
    install_system("chat")
    install_system("polling", distribution="rival")
    lines = listed(capsys)
    (chat,) = [line for line in lines if line.startswith("chat ")]
    assert ["chat", "Chat", "chat-system", "1.2", "chat_of_chat_system", "client"] == chat.split()
    assert (
        "broken: polling = polling_of_rival:SYSTEM of rival 1.2: "
        "the name is already taken by fanout-harness 0.1.0"
    ) == lines[-1]
