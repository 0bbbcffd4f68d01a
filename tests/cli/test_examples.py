from pathlib import Path

import pytest

from harness.cli.listings import examples
from harness.core.errors import ScenarioError
from harness.scenario.shipped import KINDS, shipped_names

pytestmark = pytest.mark.usefixtures("folder")


def test_every_shipped_scenario_is_listed_on_a_line_of_its_own(capsys):
    """Each name stands below its kind, with a few words on what it is, in a short listing."""
    examples()
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert [name for kind in KINDS for name in shipped_names(kind)] == listed
    assert "  quickstart          Quick start: 1,000 people in one chat room" in "\n".join(lines)
    assert 60 > len(lines)
    assert 124 > max(map(len, lines))


def test_scenarios_of_the_project_are_listed_first(write, capsys):
    """Whoever has a project sees its names among those that can be given."""
    write("scenarios/workloads/zebra.toml", "# Our own. And more.\n")
    examples()
    assert "  zebra               Our own" == capsys.readouterr().out.splitlines()[1]


def test_places_of_files_pages_and_dashboard_exist(capsys):
    """What is to be copied or read is where the last lines say."""
    examples()
    places = capsys.readouterr().out.splitlines()[-3:]
    assert ["files", "pages", "dashboard"] == [line.partition(": ")[0] for line in places]
    assert all(Path(line.partition(": ")[2]).exists() for line in places)


def test_example_by_name_prints_its_path_and_its_whole_comment(write, capsys):
    """Whoever wants one finds the file, and reads more than the listing has room for."""
    text = "#:schema x\n# Our own. And more,\n# on two lines.\n\n# Not this.\n"
    file = write("scenarios/workloads/zebra.toml", text)
    examples("zebra")
    assert f"{file}\n  Our own. And more,\n  on two lines.\n" == capsys.readouterr().out
    with pytest.raises(ScenarioError, match="did you mean zebra"):
        examples("zebro")
