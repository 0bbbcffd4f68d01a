"""The stages of a join, in order."""

JOIN_STAGES = ("tcp", "tls", "upgrade", "init", "subscribe")
"""The timed stages; each has its own histogram ``join_<stage>``."""

JOIN_FAILURE_STAGES = ("connect", *JOIN_STAGES[1:])
"""The stages at which a join can fail; ``connect`` is the name's resolution and TCP."""

TLS_ALERT = "tls_alert_"
"""Begins the code of a failure for which the peer sent a TLS alert; its name follows."""
