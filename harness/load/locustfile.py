"""The Locust users of every system; ``harness run`` starts Locust with this file."""

from harness.load.plugin import install
from harness.load.users import Chatter, Subscriber

__all__ = ["Chatter", "Subscriber"]

install()
