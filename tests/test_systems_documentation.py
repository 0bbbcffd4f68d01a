import re

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_page_names_tests() -> None:
    """Else the next test would pass whatever the page says."""
    assert len(NAMED) > 10


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: str(part).rpartition("/")[2])
def test_named_test_exists(file: str, name: str) -> None:
    """What the page says is compared by a test, a test of that name compares."""
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_system_has_a_section_that_says_what_is_not_modelled() -> None:
    """A reader must not have to guess what an emulator leaves out."""
    told = {text.partition("\n")[0]: text for text in re.split(r"^## ", PAGE, flags=re.MULTILINE)}
    for title in (
        "AppSync Events",
        "Server-sent events",
        "Polling",
        "Hybrid",
        "API Gateway WebSocket",
    ):
        assert re.search("(?i)not model", told[title]), title
        assert "| source |" in told[title], title
