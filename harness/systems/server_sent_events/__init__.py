"""Server-sent events: one long HTTP response a subscriber, publishing by POST."""

from harness.core.system import System

SYSTEM = System(
    name="server-sent-events",
    title="Server-sent events",
    colour="#c2560c",
    client="harness.systems.server_sent_events.client.api:ServerSentEventsApi",
    emulator="harness.systems.server_sent_events.emulator.process:ServerSentEventsEmulator",
    emulator_options="harness.systems.server_sent_events.options:Options",
    client_options="harness.systems.server_sent_events.options:ClientOptions",
    economics="harness.systems.server_sent_events.economics",
    most_subscriptions=200,  # So many paths fit into the 8 KB that servers allow a request line.
    wildcards=True,  # Where the service knows such.
    realtime_schemes=("https", "http"),  # A plain GET; source: WHATWG HTML, section 9.2.3.
)
