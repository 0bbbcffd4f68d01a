"""Handlers of the namespace ``direct``: functions in place of direct Lambda integrations."""

import time


def on_publish(event):
    """Mark each event as seen."""
    return {
        "events": [
            {"id": one["id"], "payload": {"seen": one["payload"]}} for one in event["events"]
        ]
    }


def on_subscribe(event):
    """Take a while to answer, longer than a client needs for its next message."""
    time.sleep(0.2)
