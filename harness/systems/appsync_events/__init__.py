"""AWS AppSync Events: publish and subscribe over WebSocket, publish over HTTP."""

from harness.core.system import System

SYSTEM = System(
    name="appsync-events",
    title="AppSync Events",
    colour="#0f62ac",
    client="harness.systems.appsync_events.client.api:AppSyncEventsApi",
    emulator="harness.systems.appsync_events.emulator.process:AppSyncEventsEmulator",
    emulator_options="harness.systems.appsync_events.options:Options",
    client_options="harness.scenario.client_options:WebSocketOptions",
    auth="harness.systems.appsync_events.auth:Auth",
    economics="harness.systems.appsync_events.economics",
    most_subscriptions=200,  # Service Quotas code L-AA33EB36.
    wildcards=True,  # `/default/*`; source: eventapi/event-api-concepts.
)
