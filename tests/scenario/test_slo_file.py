import pytest

from harness.core.errors import ScenarioError
from harness.scenario.slo_file import load_slos
from tests.support.paths import ROOT


def slo_file(folder, *lines):
    """Write a file with one SLO on fan-out p99 and further lines."""
    head = ["[[slos]]", 'metric = "fan_out_latency_ms.p99"', 'op = "<="', "limit = 500"]
    path = folder / "slos.toml"
    path.write_text("\n".join([*head, *lines]), encoding="utf-8")
    return path


def test_the_file_that_comes_along_is_valid():
    """It is the example of the help page."""
    assert 5 == len(load_slos(ROOT / "scenarios" / "slos" / "live-chat.toml"))


def test_phase_and_kind_of_user_are_read(tmp_path):
    """An objective can be about a part of a run."""
    (slo,) = load_slos(slo_file(tmp_path, 'phase = "warm_up"', 'user_class = "chatter"'))
    assert ("warm_up", "chatter") == (slo.phase, slo.user_class)


def test_a_part_that_no_record_keeps_is_refused_with_its_key(tmp_path):
    """A limit that could never be judged is an error of the file."""
    lines = ("[[slos]]", 'metric = "deliveries.ratio"', 'op = ">="', "limit = 1")
    with pytest.raises(ScenarioError) as caught:
        load_slos(slo_file(tmp_path, *lines, 'user_class = "subscriber"'))
    assert "slos.1.user_class must not be given for deliveries.ratio" in str(caught.value)
    hint = "hint: a run record does not keep deliveries.ratio apart by user_class"
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slos = []", "must not be empty"),
        ("", "must be given"),
        ("slos = [", "must be TOML"),
        ("[[slo]]\nmetric = 'a'", "did you mean slos?"),
    ],
)
def test_a_file_that_says_nothing_is_refused(write, text, said):
    """Nothing to judge by is not a pass."""
    with pytest.raises(ScenarioError) as caught:
        load_slos(write("slos.toml", text))
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    """The message names it."""
    with pytest.raises(ScenarioError, match="must be a file that exists"):
        load_slos(tmp_path / "none.toml")
