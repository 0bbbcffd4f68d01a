"""API Gateway WebSocket API: a connection a user, routes, and a broadcast of one's own."""

from harness.core.system import System

SYSTEM = System(
    name="api-gateway-websocket",
    title="API Gateway WebSocket",
    colour="#0a7d68",
    client="harness.systems.api_gateway_websocket.client:ApiGatewayWebSocketApi",
    emulator="harness.systems.api_gateway_websocket.emulator.process:ApiGatewayEmulator",
    emulator_options="harness.systems.api_gateway_websocket.options:Options",
    client_options="harness.systems.api_gateway_websocket.options:ClientOptions",
    economics="harness.systems.api_gateway_websocket.economics",
    most_subscriptions=200,  # Joined by a frame each; the service knows no channels.
    wildcards=True,  # Where the backend knows such.
)
