import os

# Locust patches the standard library for gevent when it is imported. In a test process that also
# runs asyncio and threads it must not; the load side is run for real in processes of its own.
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
