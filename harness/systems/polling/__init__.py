"""Polling: users ask for news every few seconds, and publish by POST."""

from harness.core.system import System

SYSTEM = System(
    name="polling",
    title="Polling",
    colour="#c66fa0",
    client="harness.systems.polling.client.poller:PollingApi",
    emulator="harness.systems.polling.emulator.process:PollingEmulator",
    emulator_options="harness.systems.polling.options:Options",
    client_options="harness.systems.polling.options:ClientOptions",
    economics="harness.systems.polling.economics",
    most_subscriptions=200,  # So many paths fit into the 8 KB that servers allow a request line.
    wildcards=True,  # Where the service knows such.
    polling_classes=("subscriber", "chatter"),
    realtime_schemes=("https", "http"),
)
