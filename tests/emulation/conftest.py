import contextlib

import pytest

from tests.support.emulator_process import Stand


@pytest.fixture
def make_stand(tmp_path):
    """Make emulator processes without sockets, which end with the test."""
    with contextlib.ExitStack() as made:

        def make(folder=tmp_path, **arguments):
            return made.enter_context(Stand(folder, **arguments))

        yield make
