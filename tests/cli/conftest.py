"""What the tests of all verbs have in common."""

import pytest


@pytest.fixture(autouse=True)
def _unexported(unexported, outside_of_github):
    """Look at what is printed and at which files are there, not at drawings."""
