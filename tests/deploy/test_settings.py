"""What an owner may choose, and what is said of a wrong choice."""

import re

import pytest

from deploy.cdk.settings import Settings, read_settings
from harness.core.errors import ScenarioError
from tests.deploy.conftest import CONTEXT, ROOT

MAIL = {"alarm_email": "owner@example.org"}


def test_text_of_the_command_line_becomes_values():
    """Commas make lists, digits numbers, and a path a file."""
    settings = read_settings(CONTEXT | {"worker_memory_mib": "4096", "aws:cdk:path": "x"})
    assert ("default", "quiet") == settings.namespaces
    assert ("api_key", "iam", "cognito", "lambda") == settings.auth_modes
    assert (24.0, 4096) == (settings.hourly_usd, settings.worker_memory_mib)


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        ({}, "--context: alarm_email must be given"),
        (MAIL | {"auth_modes": "magic"}, "--context: auth_modes.0 is not usable"),
        (MAIL | {"auth_modes": "iam,iam"}, "must name each one once"),
        (MAIL | {"namespaces": "a/b"}, "--context: namespaces.0 is not usable"),
        (MAIL | {"budget_usd": "0"}, "--context: budget_usd is not usable"),
        (MAIL | {"handlers": "none.js"}, "must be a file of 1 to 32,768 bytes"),
        (MAIL | {"worker_memory_mib": "3"}, "--context: worker_memory_mib is not usable"),
        (MAIL | {"budgt_usd": "3"}, "there are alarm_email, budget_usd"),
    ],
)
def test_wrong_choice_is_named(context, sentence):
    """Each mistake is refused before anything is synthesised, with the setting's name."""
    with pytest.raises(ScenarioError, match=re.escape(sentence)):
        read_settings(context)


def test_all_wrong_choices_are_named_at_once():
    """Two mistakes are two sentences."""
    with pytest.raises(ScenarioError) as raised:
        read_settings({"budget_usd": "x"})
    assert 2 == len(raised.value.problems)


def test_manual_documents_every_setting_with_its_default():
    """The table of the operating manual is that of the code."""
    manual = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    manual, _, _ = manual.partition("## Credentials")  # Whose tables are of other things.
    rows = [line.split("|")[1:3] for line in manual.splitlines() if line.startswith("| `")]
    documented = {name.strip(" `"): default.strip() for name, default in rows}
    assert set(Settings.model_fields) == set(documented)
    numbers = {name: default for name, default in documented.items() if default.isdigit()}
    assert numbers
    for name, default in numbers.items():
        assert float(default) == Settings.model_fields[name].default
