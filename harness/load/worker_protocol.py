"""Names of the messages between master and workers; they travel over Locust's own channel."""

FAILED = "harness_failed"
"""Worker to master: it could not start, and why."""

STOPPED = "harness_stopped"
"""Worker to master: a user class stopped it before the run was over, and what that said."""

SECOND = "harness_second"
"""Worker to master, once a second: what happened since the last one."""

FINISH = "harness_finish"
"""Master to workers: the run is over, close and account."""

CONNECTIONS = "harness_connections"
"""Worker to master, after FINISH: rows of the connections table."""

DONE = "harness_done"
"""Worker to master: nothing more will come."""

HELLO = "harness_hello"
"""Worker to master, until it is answered: who it is, and which harness it runs."""

WELCOME = "harness_welcome"
"""Master to worker: whose clock counts, or why the worker is refused."""

CLOCK_ASK = "harness_clock_ask"
"""Worker to master: what does your clock say?"""

CLOCK_TOLD = "harness_clock_told"
"""Master to worker: the answer, with the question in it."""

READY = "harness_ready"
"""Worker to master: it knows its clock's offset and can begin."""
