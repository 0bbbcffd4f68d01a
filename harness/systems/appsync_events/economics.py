"""What AppSync Events costs, and the quotas it comes with.

Source: aws.amazon.com/appsync/pricing and the usage types EventAPI-Operation and
EventAPI-ConnectionDuration of the AWS Price List; docs.aws.amazon.com/general/latest/gr/appsync.
What they leave open is a switch here.
"""

from typing import Final

from harness.core.pricing import Line, Price, Quota, Switch, Usage, charge, egress

STEP_BYTES: Final = 5 * 1024
"""Each operation is metered in steps of 5 KB; the source does not say of 1,000 or 1,024 bytes."""

_PRICING = "aws.amazon.com/appsync/pricing"
_LIMITS = "docs.aws.amazon.com/general/latest/gr/appsync"

OPERATION: Final = Price("Event API operations", 1.0, 1e6, "operations", _PRICING)
CONNECTION_MINUTE: Final = Price("Connection time", 0.08, 1e6, "connection minutes", _PRICING)
PRICES: Final = (OPERATION, CONNECTION_MINUTE)

QUOTAS: Final = (
    Quota("connection requests", 2_000, "a second and API", True, _LIMITS, bounds="connects_per_s"),
    Quota("inbound events", 10_000, "a second and API", True, _LIMITS, bounds="publishes_per_s"),
    Quota(
        "outbound events",
        1_000_000,
        "5 KB steps a second and API",
        True,
        _LIMITS,
        bounds="deliveries_per_s",
    ),
    Quota("publishes", 25, "a second and WebSocket", False, _LIMITS),
    Quota("subscriptions", 200, "a connection", True, _LIMITS),
    Quota("events", 5, "a publish", None, _LIMITS),
    Quota("event payload", 240 * 1024, "bytes", False, _LIMITS),
    Quota("connection lifetime", 24, "hours", None, _LIMITS),
)

KEEP_ALIVE: Final = Switch("keep-alive", "Is the keep-alive of each minute an operation?", False)
UNSUBSCRIBE: Final = Switch("unsubscribe", "Is the end of a subscription an operation?", False)


def bill(usage: Usage) -> tuple[Line, ...]:
    """Return the lines of the bill for a use of AppSync Events."""

    def operations(name: str, formula: str, quantity: float, switch: Switch | None = None) -> Line:
        return charge(name, formula, quantity, OPERATION, usage, switch)

    inbound, outbound = usage.published_steps(STEP_BYTES), usage.delivered_steps(STEP_BYTES)
    minutes = usage.connection_minutes
    return (
        operations("outbound", "deliveries × begun 5 KB steps", outbound),
        operations("inbound", "publishes × begun 5 KB steps", inbound),
        operations("handlers", "handler calls, one a request", usage.handler_calls),
        operations("connects", "connections opened", usage.connects),
        operations("subscribes", "subscriptions made", usage.subscribes),
        charge("connection_minutes", "users × minutes", minutes, CONNECTION_MINUTE, usage),
        egress(usage),
        operations("pings", "one a connection minute", minutes, KEEP_ALIVE),
        operations("unsubscribes", "one a subscription", usage.subscribes, UNSUBSCRIBE),
    )
