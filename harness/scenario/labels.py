"""The version under test: a label and tags, such as a commit of the service.

They travel in the plan and decide nothing: a record has them, and so has everything made from it.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.scenario.plan import Plan

LABEL_VARIABLE: Final = "HARNESS_LABEL"
TAGS_VARIABLE: Final = "HARNESS_TAGS"
MOST_CHARACTERS: Final = 100
"""Of a label, and of the value of a tag."""
MOST_KEY_CHARACTERS: Final = 40
MOST_TAGS: Final = 20

_KEY: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{MOST_KEY_CHARACTERS - 1}}}")


class Labels(NamedTuple):
    """The label and the tags of a run."""

    label: str = ""
    tags: Mapping[str, str] = {}

    def on(self, plan: Plan) -> Plan:
        """Return the plan with this label and these tags."""
        return plan.model_copy(update={"label": self.label, "tags": dict(self.tags)})


def read_labels(
    label: str | None, tags: Sequence[str] | None, environment: Mapping[str, str] = os.environ
) -> Labels:
    """Return the label and the tags that flags and environment give; a flag beats the environment.

    Args:
        label: Of ``--label``; None where it was not given.
        tags: Of each ``--tag``: ``key=value``.
        environment: Where ``HARNESS_LABEL`` and ``HARNESS_TAGS`` (``a=b,c=d``) are looked up.

    Raises:
        ScenarioError: With everything that is wrong with them.
    """
    problems: list[ScenarioProblem] = []
    listed = environment.get(TAGS_VARIABLE, "")
    given = listed.split(",")
    if listed and not listed.replace(",", "").strip():
        rule = "must hold tags, as a=b,c=d, or be empty"
        problems.append(ScenarioProblem(TAGS_VARIABLE, "", _shown(listed), rule))
    where, text = ("--label", label) if label is not None else (LABEL_VARIABLE, None)
    text = environment.get(LABEL_VARIABLE, "") if text is None else text
    problems += _problems_of(where, text)
    found = {
        **_read_tags(TAGS_VARIABLE, [one.strip() for one in given if one.strip()], problems),
        **_read_tags("--tag", tags or (), problems),
    }
    if len(found) > MOST_TAGS:
        rule = f"must be at most {MOST_TAGS} in total"
        problems.append(ScenarioProblem("--tag", "", f"{len(found)}", rule))
    if problems:
        raise ScenarioError(problems)
    return Labels(text.strip(), found)


def _read_tags(where: str, given: Sequence[str], problems: list[ScenarioProblem]) -> dict[str, str]:
    """Return the tags that one source gives, and add what is wrong with them."""
    found: dict[str, str] = {}
    for one in given:
        key, equals, value = (part.strip() for part in one.partition("="))
        if not equals or not value or not _KEY.fullmatch(key):
            rule = "must have the form KEY=VALUE, where the key is letters, digits and _"
            example = "--tag commit=1a2b3c4" if where == "--tag" else f"{where}=commit=1a2b3c4,a=b"
            hint = f"for example {example}"
            problems.append(ScenarioProblem(where, "", _shown(one), rule, hint))
        elif key in found:
            problems.append(ScenarioProblem(where, key, _shown(value), "must be given once"))
        else:
            problems += _problems_of(where, value, key)
            found[key] = value
    return found


def _problems_of(where: str, text: str, key: str = "") -> Iterator[ScenarioProblem]:
    """Yield what is wrong with a label or with the value of a tag."""
    if text and not text.strip():
        yield ScenarioProblem(where, key, _shown(text), "must not be blank")
    elif len(text.strip()) > MOST_CHARACTERS:
        found, rule = f"{len(text)} characters", f"must have at most {MOST_CHARACTERS} characters"
        yield ScenarioProblem(where, key, found, rule)
    elif any(unicodedata.category(character).startswith("C") for character in text.strip()):
        yield ScenarioProblem(where, key, _shown(text), "must have no control characters")


def _shown(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[:MOST_CHARACTERS]}…"
