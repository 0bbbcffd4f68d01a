"""Chatters on sockets, viewers polling: the only system that is made of two others.

It joins AppSync Events and polling and adds nothing of its own but the joint: its modules may
import those of the two.
"""

from harness.core.system import System
from harness.systems.appsync_events import SYSTEM as SOCKETS
from harness.systems.polling import SYSTEM as POLLS

SYSTEM = System(
    name="hybrid",
    title="Hybrid",
    colour="#8d3a86",
    client="harness.systems.hybrid.client:HybridApi",
    emulator="harness.systems.hybrid.emulator:HybridEmulator",
    emulator_options="harness.systems.hybrid.options:Options",
    client_options="harness.systems.hybrid.options:ClientOptions",
    economics="harness.systems.hybrid.economics",
    most_subscriptions=min(SOCKETS.most_subscriptions, POLLS.most_subscriptions),
    wildcards=SOCKETS.wildcards and POLLS.wildcards,
    polling_classes=("subscriber",),  # Viewers; chatters hold a socket.
)
