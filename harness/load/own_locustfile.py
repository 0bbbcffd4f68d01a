"""Hands Locust the user classes of the user's own locustfile, or says what is wrong with it.

``harness run --locustfile FILE`` starts Locust on this file with ``--own-locustfile FILE``. Locust
itself would show a traceback through its own modules where FILE cannot be loaded.
"""

import sys
from pathlib import Path

import locust  # noqa: F401  first, because it patches the standard library for gevent

from harness.core.errors import HarnessError
from harness.load.loading import OWN_LOCUSTFILE, load_locustfile
from harness.load.plugin import install
from harness.load.preparing import tell
from harness.load.user_classes import runnable

install()
try:
    # Before Locust reads its options: which classes there are is one of them.
    _file = Path(sys.argv[sys.argv.index(OWN_LOCUSTFILE) + 1])
    globals().update(runnable(load_locustfile(_file)))
except HarnessError as error:
    tell(error)
    sys.exit(int(error.exit_code))
