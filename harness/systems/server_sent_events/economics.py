"""What dedicated servers for server-sent events cost, provisioned for the peak all day.

Source: prices on demand of the EC2 price list as of January 2026, as Karpenter carries it;
aws.amazon.com/elasticloadbalancing/pricing.
"""

import math
from typing import Final

from harness.core.pricing import Line, Price, Quota, Switch, Usage, charge, egress

CONNECTIONS_PER_SERVER: Final = 15_000
"""Assumed for a c7g.large; nchan on two cores held 30,000."""

_BALANCER = "aws.amazon.com/elasticloadbalancing/pricing"

SERVER: Final = Price(
    "c7g.large on demand", 0.0725, 1, "server hour",
    "aws.amazon.com/ec2/pricing/on-demand", as_of="January 2026",
)  # fmt: skip
BALANCER: Final = Price("Application Load Balancer", 0.0225, 1, "hour", _BALANCER)
BALANCER_UNIT: Final = Price("Load balancer capacity", 0.008, 1, "LCU hour", _BALANCER)
PRICES: Final = (SERVER, BALANCER, BALANCER_UNIT)

LCU_CONNECTS_PER_S: Final = 25
LCU_CONNECTIONS: Final = 3_000
LCU_GB_PER_H: Final = 1

QUOTAS: Final = (
    Quota(
        "connections",
        CONNECTIONS_PER_SERVER,
        "a server, assumed",
        None,
        "assumed",
        bounds="connections",
    ),
)

SPARE: Final = Switch("spare", "Does a spare server stand by?", False)


def bill(usage: Usage) -> tuple[Line, ...]:
    """Return the lines of the bill for servers that stand ready for ``usage.provisioned``."""
    servers = math.ceil(usage.provisioned / CONNECTIONS_PER_SERVER)
    units_h = _capacity_units(usage) * usage.hours
    words = "⌈users provisioned for ÷ 15,000⌉ × hours"
    largest = "largest of connects/s ÷ 25, connections ÷ 3,000, GB/h, × hours"
    return (
        charge("servers", words, servers * usage.hours, SERVER, usage),
        charge("load_balancer", "hours", usage.hours, BALANCER, usage),
        charge("load_balancer_units", largest, units_h, BALANCER_UNIT, usage),
        egress(usage),
        charge("spare_server", "hours", usage.hours, SERVER, usage, SPARE),
    )


def _capacity_units(usage: Usage) -> float:
    if usage.hours == 0:
        return 0.0  # Of a run that ended as it began; a rate needs a time.
    return max(
        usage.connects / (usage.hours * 3600) / LCU_CONNECTS_PER_S,
        usage.connected_peak / LCU_CONNECTIONS,
        usage.delivered_gb / usage.hours / LCU_GB_PER_H,
    )
