"""Secrets as a run takes them from variables, files and commands."""

import os
import re
from base64 import b64encode
from urllib.parse import SplitResult, unquote

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.outside_text import register_secret

PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
"""``${NAME}`` in a text of a target stands for the environment variable NAME."""

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


def required_variable(key: str, name: str) -> str:
    """Return the secret in an environment variable that a target names, as ``secret_variable``.

    Args:
        key: Where the target names it.
        name: The variable.

    Raises:
        ScenarioError: If it is not set, or holds a control character.
    """
    secret = secret_variable(name)
    if not secret:
        raise ScenarioError([missing_variable("target", key, name)])
    return secret


def basic_authorization(parts: SplitResult) -> str:
    """Return the header's value for user and password of an address; empty where it has none.

    Source: RFC 7617.
    """
    if parts.username is None:
        return ""
    user_info = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(user_info.encode()).decode()}"


def missing_variable(file: str, key: str, name: str) -> ScenarioProblem:
    """Return the problem of an environment variable that a target needs, empty or not set."""
    state = "empty" if name in os.environ else "not set"
    return ScenarioProblem(
        file=file,
        key=key,
        found=f"{name}, which is {state}" if name else "an empty name",
        rule="must name an environment variable that is set",
        hint=f"export {name}=… before the run" if name else "write ${NAME}",
    )


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
