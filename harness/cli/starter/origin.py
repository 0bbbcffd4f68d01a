"""Where this installation of the harness comes from, as a line that pip can install."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit

from harness.core.distribution import DISTRIBUTION

PLACEHOLDER = "git+ADDRESS@REVISION"
"""Stands in the line where pip was given a file of this machine."""

_TO_BE_COMPLETED = f"""\
# Say where fanout-harness comes from; until then pip calls the line below an invalid requirement.
# A git address and a revision, such as git+https://example.org/fanout-harness.git@1a2b3c4,
# or in place of the whole line the path of a wheel in this repository.
{DISTRIBUTION} @ {PLACEHOLDER}"""


def requirement() -> str:
    """Return the line of a requirements file: git address and commit, or one to be completed.

    A path of this machine would be no use on another one, and is never named.
    """
    try:
        # Written by the installer. Source: PEP 610.
        written = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        written = {}
    vcs, url = written.get("vcs_info", {}), written.get("url", "")
    if vcs.get("vcs") != "git" or not urlsplit(url).hostname:
        return _TO_BE_COMPLETED
    return f"{DISTRIBUTION} @ git+{url}@{vcs['commit_id']}"
