import re

import pytest

from harness.cli.cost import cost
from harness.core.errors import MachineError, ScenarioError
from tests.support.paths import SCENARIOS
from tests.support.simulated_run import Simulation

WORKLOAD = SCENARIOS / "workloads" / "reference.toml"


def test_the_text_shows_each_line_with_formula_and_source(capsys):
    """A reader can check every figure."""
    cost()
    printed = capsys.readouterr().out
    for text in (
        "deliveries × begun 5 KB",
        "aws.amazon.com/appsync",
        "750,000,000",
        "$786",
        "$131",
    ):
        assert text in printed


def test_json_has_the_runs_and_the_study(tmp_path, printed_json):
    """For machines: every bill with its lines, every run with its operations."""
    plan = Simulation()
    cost([plan.write(tmp_path / "run")], workload=WORKLOAD, as_json=True)
    found = printed_json()
    (used,) = found["runs"]
    assert ("appsync-events", plan.delivered) == (used["system"], used["operations"]["outbound"])
    assert 35_000 == found["study"]["day"]["connected"]
    everyone = found["study"]["cases"][0]["bills"]
    assert all(line["price"]["source"] for bill in everyone for line in bill["lines"])


def test_what_a_run_used_has_its_units(tmp_path, capsys):
    """Half a thousandth of what?"""
    cost([Simulation().write(tmp_path / "run")])
    used = capsys.readouterr().out.partition("A day\n")[0]
    assert re.search(r"^connection minutes +connection minutes +\d", used, re.MULTILINE)
    assert re.search(r"^egress +GB +0\.0\d+ +–", used, re.MULTILINE)


def test_a_flipped_question_is_counted_the_other_way(capsys):
    """The keep-alive makes $829 of $786."""
    cost()
    assert "not counted: keep-alive" in capsys.readouterr().out
    cost(flip=["keep-alive"])
    printed = capsys.readouterr().out
    assert "$829" in printed
    assert "not counted: keep-alive" not in printed


def test_an_unknown_question_is_refused_with_the_known_ones():
    """A slip of the finger must not pass for an answer."""
    with pytest.raises(ScenarioError, match=r"keep-alvie.*\n?.*keep-alive"):
        cost(flip=["keep-alvie"])


def test_the_page_needs_nothing_else(tmp_path):
    """One file: styles, script and drawings inside, no address to load from."""
    page = tmp_path / "cost.html"
    cost(html=page)
    text = page.read_text("utf-8")
    assert 4 == text.count("<svg ")
    assert "Cost of a day over messages a day" in text
    assert not re.search(r'(?:src|href)="(?!#)|<script |@import|url\(http', text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    charts = {one.name for one in (tmp_path / "cost-charts").iterdir()}
    names = ("cost-over-users", "cost-over-messages")
    assert charts == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}


def test_a_page_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    """No traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        cost(html=tmp_path / "file" / "cost.html")
