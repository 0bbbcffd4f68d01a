import os

from hypothesis import HealthCheck, settings

from tests.installing import install_system

__all__ = ["install_system"]

# Locust patches the standard library for gevent when it is imported. In a test process that also
# runs asyncio and threads it must not; the load side is run for real in processes of its own.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"

# How long an example takes says how busy the machine is, and nothing of our code.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machine")
