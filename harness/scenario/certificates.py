"""Whether TLS can use the certificates and keys that a target names."""

import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import ScenarioProblem, os_reason
from harness.scenario.problems import Source


def unusable_certificates(target: Source, data: Mapping[str, Any]) -> list[ScenarioProblem]:
    """Return the problems of the files in a ``[tls]`` table, apart from those that do not exist.

    Args:
        target: The file.
        data: What is in it, with absolute paths.
    """
    tls = data.get("tls")
    files = tls if isinstance(tls, dict) else {}
    broken = []
    if _exist(files, "ca_file"):
        broken += _broken_authorities(files)
    if _exist(files, "client_certificate", "client_key"):
        broken += _broken_client_certificate(files)
    written = target.data.get("tls", {})
    return [target.problem(f"tls.{key}", json.dumps(written[key]), rule) for key, rule in broken]


def _exist(files: Mapping[str, Any], first: str, *others: str) -> bool:
    """Return whether the first key is given, and all files of these keys exist."""
    named = [files[key] for key in (first, *others) if key in files]
    return first in files and all(isinstance(one, str) and Path(one).is_file() for one in named)


def _broken_authorities(files: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a key of the table and its rule, where the file of authorities cannot be used."""
    try:
        ssl.create_default_context(cafile=files["ca_file"])
    except ssl.SSLError:
        return [("ca_file", "must contain certificates in PEM format")]
    except OSError as error:
        return [("ca_file", f"must be a file that can be read ({os_reason(error)})")]
    return []


def _broken_client_certificate(files: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a key of the table and its rule, where clients cannot present the certificate."""
    variable = files.get("client_key_password_env")
    password = os.environ.get(variable, "").strip() if isinstance(variable, str) else ""
    asked = []

    def tell() -> str:  # Without, OpenSSL asks at the terminal.
        asked.append(password)
        return password

    holder = "client_key" if "client_key" in files else "client_certificate"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(files["client_certificate"], files.get("client_key"), tell)
    except (ssl.SSLError, ValueError) as error:  # The second for a password of over 1,023 bytes.
        if "KEY_VALUES_MISMATCH" in str(error):
            return [(holder, "must hold the key of the certificate")]
        if not asked:
            rule = "must hold a certificate in PEM format, and its key unless client_key does"
            return [("client_certificate", rule)]
        if variable is None:
            rule = "must hold a key without password unless client_key_password_env is given"
            return [(holder, rule)]
        if password:  # That it is not set, which matters to runs only, is said elsewhere.
            rule = "must name a variable that holds the password of the key"
            return [("client_key_password_env", rule)]
    except OSError as error:
        return [("client_certificate", f"must name files that can be read ({os_reason(error)})")]
    return []
