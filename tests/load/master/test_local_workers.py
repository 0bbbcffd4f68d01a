"""Workers that a master has forked are counted by their processes."""

import pytest

from harness.core.errors import InvalidRunError
from harness.load.master.worker_watch import require_alive


def test_local_worker_that_has_ended_is_named_before_the_run_begins():
    """This process has no child with its own command line."""
    require_alive(0)
    with pytest.raises(InvalidRunError, match="2 of 2 ended before the run began"):
        require_alive(2)
