from datetime import date

import pytest

from harness.scenario.problems import Source, shown
from harness.scenario.workload import Workload
from tests.scenario.conftest import WORKLOAD


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("name", "a", '"a"'),
        ("tls", True, "true"),
        ("rate", 2.5, "2.5"),
        ("rate", float("nan"), "nan"),
        ("day", date(2026, 11, 23), '"2026-11-23"'),
        ("list", [1, "a"], '[1, "a"]'),
        ("slos", [{"a": 1}], "an array"),
        ("joins", {"a": 1}, "a table"),
        ("name", "x" * 99, '"' + "x" * 59 + "…"),
        ("api_key", "da2-x", "a value that is not shown"),
        ("Password", "x", "a value that is not shown"),
        ("api_keys", ["da2-x"], "an array"),
        ("api_key", 1, "1"),
    ],
)
def test_value_is_shown_as_toml_writes_it_and_secrets_never(key, value, text):
    """An error shows what was found, in short, and hides what may be a secret."""
    assert text == shown(key, value)


def test_problem_is_blamed_on_the_flag_that_set_the_key_or_one_above():
    """A key below a table that a flag set is the flag's; a key with the same start is not."""
    source = Source("w.toml", {}, Workload, changed={"publishing.burst": "--set"})
    files = [
        source.problem(key, "", "").file
        for key in ("publishing.burst", "publishing.burst.factor", "publishing.bursts")
    ]
    assert ["--set", "--set", "w.toml"] == files


MISTAKES = """\
joins=3
joins must be a table, got 3
hint: write [joins] with its keys below

publishing.event_bytes=3
publishing.event_bytes must be a table, got 3
hint: write [publishing.event_bytes] with its keys below

publishing.event_bytes={median=3}
publishing.event_bytes.distribution must be one of lognormal, fixed, choice, got nothing

publishing.event_bytes={distribution="fixed", value=300, median=3}
publishing.event_bytes.median is not a key of [publishing.event_bytes], got 3
hint: its keys are distribution, value

slos=[3]
slos.0 must be a table, got 3
hint: write [[slos]] with its keys below

slos=3
slos must be an array, got 3

population.chatters_subscribe=True
population.chatters_subscribe must be true or false, got "True"
hint: write true, without quotes

description=3
description must be text, got 3
hint: put it in double quotes: "3"

seed=2.5
seed must be a whole number, got 2.5"""
"""An override, and what is said of it."""
TOO_LONG = (
    f"seed=1{'0' * 70}\nseed must be <= 4294967295, got 1{'0' * 59}…",
    f"joins.rate_per_s=1{'0' * 400}\njoins.rate_per_s must be a number, got 1{'0' * 59}…",
    f'name={"x" * 65}\nname must have at most 64 characters, got "{"x" * 59}…',
)


@pytest.mark.parametrize("mistake", [*MISTAKES.split("\n\n"), *TOO_LONG])
def test_kind_of_mistake_has_its_own_sentence(scenario, mistake):
    """Each way to write a wrong value is met with the rule and what to write."""
    override, _, complaint = mistake.partition("\n")
    assert f"--set: {complaint}" == scenario.complaint(override)


def test_missing_key_is_explained_by_what_it_means(scenario):
    """Who leaves a key out reads what it is for."""
    scenario.write(WORKLOAD.replace("measure_s = 5.0", ""))
    assert (
        "workload.toml: phases.measure_s must be given, got nothing"
        "\nhint: Messages that are due in this time make the summary."
    ) == scenario.complaint()


def test_misspelt_key_is_not_also_reported_as_missing(scenario):
    """One slip of the finger is one problem."""
    scenario.write(WORKLOAD.replace("measure_s", "mesure_s"))
    assert (
        "workload.toml: phases.mesure_s is not a key of [phases], got 5.0"
        "\nhint: did you mean measure_s?"
    ) == scenario.complaint()
