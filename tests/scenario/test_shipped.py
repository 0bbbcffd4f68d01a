import pytest

from harness.core.errors import ScenarioError
from harness.scenario.shipped import (
    KINDS,
    known_names,
    scenario_file,
    scenario_files,
    shipped_file,
    shipped_names,
    shipped_root,
    summary,
)

pytestmark = pytest.mark.usefixtures("folder")


MINE = "# Mine.\n"


def test_name_means_the_shipped_file_from_any_folder():
    """A name needs no checkout around the working directory."""
    file = scenario_file("workloads", "quickstart")
    assert shipped_file("workloads", "quickstart") == file
    assert file.is_file()


def test_name_means_the_projects_own_file_before_the_shipped_one(write):
    """A project may replace a scenario that comes with the harness."""
    write("scenarios/workloads/quickstart.toml", MINE)
    assert "scenarios/workloads/quickstart.toml" == str(scenario_file("workloads", "quickstart"))


def test_existing_file_wins_over_a_name(write):
    """A file without an ending is taken as it is, even where a scenario has its name."""
    write("quickstart", MINE)
    assert "quickstart" == str(scenario_file("workloads", "quickstart"))


@pytest.mark.parametrize("given", ["mine.toml", "folder/mine", "./quickstart", ""])
def test_path_that_leads_nowhere_stays_a_path(given):
    """What has an ending or a folder is no name; its reader reports what is wrong with it."""
    assert given.removeprefix("./") or "." == str(scenario_file("workloads", given))


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        ("workloads", "quikstart", "quickstart"),
        ("targets", "polling-emulatd", "polling-emulated"),
        ("studies", "sse-vs-apsync", "sse-vs-appsync"),
        ("slos", "live-chats", "live-chat"),
    ],
)
def test_unknown_name_gets_the_one_that_was_meant(kind, given, meant):
    """The error is one sentence, with the nearest name and where all of them are listed."""
    with pytest.raises(ScenarioError) as caught:
        scenario_file(kind, given)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{given} must be a file that exists, or the name of a known ")
    assert f"did you mean {meant}? (all names: harness examples)" == problem.hint


def test_unknown_name_that_is_like_none_gets_the_listing():
    """Where no name is near, the hint still says where the names are."""
    with pytest.raises(ScenarioError, match=r"\nhint: all names: harness examples$"):
        scenario_files("zzzzzzzzzz")


def test_name_without_a_kind_means_every_file_that_has_it(write):
    """``validate`` checks a workload and a target of one name both."""
    for kind in ("workloads", "targets"):
        write(f"scenarios/{kind}/mine.toml", MINE)
    files = ["scenarios/workloads/mine.toml", "scenarios/targets/mine.toml"]
    assert files == [str(file) for file in scenario_files("mine")]


def test_known_names_are_the_projects_own_and_then_the_shipped(write):
    """Each name is listed once."""
    for name in ("quickstart", "zebra"):
        write(f"scenarios/workloads/{name}.toml", MINE)
    names = known_names("workloads")
    assert ["quickstart", "zebra"] == names[:2]
    assert sorted({*shipped_names("workloads"), "zebra"}) == sorted(names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_shipped_scenario_has_a_summary_and_a_schema(kind):
    """The listing has a sentence for each, and the first line leads editors to a file."""
    for name in shipped_names(kind):
        file = shipped_file(kind, name)
        assert summary(file)
        schema = file.read_text("utf-8").splitlines()[0].removeprefix("#:schema ")
        assert (file.parent / schema).is_file()


def test_root_holds_what_the_messages_refer_to():
    """Pages and the dashboard are found where the scenarios are."""
    assert (shipped_root() / "docs/scenarios.md").is_file()
    assert (shipped_root() / "deploy/grafana/fan-out.json").is_file()


def test_name_of_another_kind_is_told_as_such():
    """As where workload and target have changed places."""
    with pytest.raises(ScenarioError, match="hint: polling-emulated is a target"):
        scenario_file("workloads", "polling-emulated")
    with pytest.raises(ScenarioError, match="hint: quickstart is a workload"):
        scenario_file("targets", "quickstart")
