"""What the hybrid costs: the bill of AppSync Events for chatters and that of polls for viewers.

Prices, quotas and their sources are those of the two systems.
"""

from dataclasses import replace
from typing import Final

from harness.core.pricing import Day, Line, Usage
from harness.systems.appsync_events import economics as sockets
from harness.systems.polling import economics as polls

CHATTERS_RATIO: Final = 1 / 6
"""Share of the users who write, and so hold a socket: 5,000 of 30,000."""

PRICES: Final = (*sockets.PRICES, *polls.PRICES)
QUOTAS: Final = (*sockets.QUOTAS, *polls.QUOTAS)


def bill(usage: Usage) -> tuple[Line, ...]:
    """Return both bills: of chatters' connections and events, and of viewers' polls."""
    return (*sockets.bill(usage), *polls.bill(usage))


def usage_of(day: Day) -> Usage:
    """Return what a day uses on which chatters hold a socket and all others poll."""
    chatters = replace(day, connected=day.connected * CHATTERS_RATIO)
    viewers = replace(day, connected=day.connected - chatters.connected)
    return replace(chatters.usage(), polls=viewers.usage().polls)
