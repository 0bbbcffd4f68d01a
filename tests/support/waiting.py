"""How long tests wait for what has to happen: one figure for all of them.

A wait ends as soon as its condition holds, so a long one costs time only where something is broken.
``TEST_PATIENCE`` multiplies it, for machines that are slow or busy beyond measure.
"""

import os
import time

PATIENCE_S = 120.0 * float(os.environ.get("TEST_PATIENCE", "1"))


def wait_for(condition, what="the condition", *, sleep=time.sleep):
    """Return the first true value of ``condition``; fail if there is none in time.

    ``sleep`` is what lets the others work meanwhile: gevent's own in tests that run clients.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:g} s for {what}"
        sleep(0.005)
    return found
