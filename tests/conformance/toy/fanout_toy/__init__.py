"""A toy system: one JSON object a WebSocket message, and no more than a chat needs."""

from harness import System

SYSTEM = System(
    name="toy",
    title="Toy",
    client="fanout_toy.client:ToyApi",
    emulator="fanout_toy.emulator:ToyEmulator",
    emulator_options="fanout_toy.options:Options",
)
