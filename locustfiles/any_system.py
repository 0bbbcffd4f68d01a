"""Locust users for any system: `locust -f locustfiles/any_system.py --help`.

The workload says how many of each there are, and the target which system they join.
"""

from harness import Chatter, Subscriber

__all__ = ["Chatter", "Subscriber"]
