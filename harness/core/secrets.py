"""Secrets as a run takes them from variables, files and commands."""

import os
import re

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.outside_text import register_secret

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def clean_secret(name: str, text: str) -> str:
    """Return a secret without white space and byte order mark around it, and register it.

    Args:
        name: Takes its place in texts; a variable, file or command.
        text: As it was read; may be empty.

    Raises:
        ScenarioError: If it holds a control character, which would break a request.
    """
    secret = text.strip().lstrip(_BYTE_ORDER_MARK).strip()
    if (problem := control_character_in(name, secret)) is not None:
        raise ScenarioError([problem])
    register_secret(name, secret)
    return secret


def secret_variable(name: str) -> str:
    """Return the secret in an environment variable, cleaned and registered; "" if it is not set.

    Raises:
        ScenarioError: If it holds a control character.
    """
    return clean_secret(name, os.environ.get(name, ""))


def control_character_in(name: str, secret: str) -> ScenarioProblem | None:
    """Return the problem of a secret that holds a control character; None if it holds none."""
    found = _CONTROL.search(secret.strip())
    if found is None:
        return None
    return ScenarioProblem(
        file="secret",
        key=name,
        found=f"U+{ord(found[0]):04X} inside it",
        rule="must hold no control characters",
        hint="write the secret again without line breaks; white space around it is ignored",
    )
