"""Locust users for any system: `locust -f locustfiles/any_system.py --help`.

The workload sets the number of users of each class, and the target the system they join.
"""

from harness import Chatter, Subscriber

__all__ = ["Chatter", "Subscriber"]
