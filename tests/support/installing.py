"""Puts packages with entry points of ``harness.systems`` where Python finds them."""

import sys

import pytest

from harness.core import system

CHAT = """
from harness.core.system import System

SYSTEM = System(name="{name}", title="Chat", client="{module}.client:Api")
"""


@pytest.fixture
def install_system(tmp_path, monkeypatch):
    """Return a function that installs a package, seen by the registry until the test ends."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set()

    def install(name, source=CHAT, *, distribution="chat-system"):
        module = name.replace("-", "_") + "_of_" + distribution.replace("-", "_")
        modules.add(module)
        folder = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        folder.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        (folder / "METADATA").write_text(metadata, encoding="utf-8")
        entry = f"{name} = {module}:SYSTEM\n"
        with (folder / "entry_points.txt").open("a", encoding="utf-8") as file:
            file.write(entry if file.tell() else f"[{system.GROUP}]\n{entry}")
        text = source.format(name=name, module=module)
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        system.registrations.cache_clear()
        return module

    yield install
    system.registrations.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)
