import pytest

from harness.core.errors import ScenarioError
from harness.scenario.loading import load_plan
from harness.scenario.study import is_study, load_study, overrides_of
from tests.support.paths import SCENARIOS

STUDIES = SCENARIOS / "studies"
FILES = sorted(STUDIES.glob("*.toml"))
REFERENCE = STUDIES / "sse-vs-appsync.toml"


def changed(tmp_path, old, new):
    """Return the path of the reference study with one change."""
    text = REFERENCE.read_text("utf-8")
    assert old in text
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return file


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_committed_study_is_valid_and_its_workloads_play_at_both_sizes(file):
    """On a target that is always there."""
    study = load_study(file)
    target = STUDIES.parent / "targets" / "appsync-events-emulated.toml"
    for workload in study.workloads:
        for size in ("small", "full"):
            overrides = overrides_of(size, workload)
            plan = load_plan(file.parent / workload.workload, target, overrides=overrides)
            assert (size == "full") == (plan.users >= study.need.connected)


def test_the_small_size_of_the_reference_study_takes_under_ten_minutes():
    """Each run and a quarter of a minute around it."""
    study = load_study(REFERENCE)
    target = STUDIES.parent / "targets" / "appsync-events-emulated.toml"
    plans = [
        load_plan(REFERENCE.parent / one.workload, target, overrides=overrides_of("small", one))
        for one in study.workloads
    ]
    planned_s = sum(plan.total_s for plan in plans) * len(study.systems) * study.repeats("small")
    assert planned_s + 8 * len(plans) * len(study.systems) < 600


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("connected = 30000", "conected = 30000", "did you mean connected?"),
        ('baseline = "legacy"', 'baseline = "legacie"', "did you mean legacy?"),
        ('workload = "steady"', 'workload = "study"', "must be one of steady, flash-crowd"),
        ('name = "sse"', 'name = "legacy"', "must not be given twice"),
        (
            '"population.subscribers=600"',
            '"target.emulator.processes=2"',
            "must not start with target.",
        ),
        ('priced_as = "polling"', 'small = ["joins.rate_per_s=1"]', "must start with target."),
        ('"stall_s.max"', '"stall_s.maximum"', "must be a figure of the run's summary"),
        ('metric = "joins.failed"', 'metric = "joins.faild"', "did you mean joins.failed?"),
        ("repeats = 1", "repeats = 0", "must be >= 1"),
    ],
)
def test_a_mistake_is_refused_with_what_is_right(tmp_path, old, new, sentence):
    """Unknown keys, names that fit nothing, changes in the wrong place."""
    with pytest.raises(ScenarioError) as caught:
        load_study(changed(tmp_path, old, new))
    assert sentence in str(caught.value)


def test_a_study_that_is_not_there_is_said(tmp_path):
    """No traceback."""
    with pytest.raises(ScenarioError, match="must be a file that exists"):
        load_study(tmp_path / "none.toml")


def test_changes_come_in_order_those_of_the_size_last():
    """So that a size has the last word."""
    flash = next(one for one in load_study(REFERENCE).workloads if one.name == "flash-crowd")
    assert "joins.timeout_s=30" == overrides_of("small", flash)[0]
    assert "disturbances.0.at_s=4" == overrides_of("small", flash)[-1]


def test_a_study_is_told_from_other_files(tmp_path):
    """By its keys, or by its folder."""
    assert is_study(REFERENCE)
    assert not is_study(STUDIES.parent / "workloads" / "quickstart.toml")
    assert is_study(changed(tmp_path, "[small]", "[smal]"))
