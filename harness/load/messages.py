"""Names of the messages between master and workers; they travel over Locust's own channel."""

FAILED = "harness_failed"
"""Worker to master: it could not start, and why."""

SECOND = "harness_second"
"""Worker to master, once a second: what happened since the last one."""

FINISH = "harness_finish"
"""Master to workers: the run is over, close and account."""

CONNECTIONS = "harness_connections"
"""Worker to master, after FINISH: rows of the connections table."""

DONE = "harness_done"
"""Worker to master: nothing more will come."""
