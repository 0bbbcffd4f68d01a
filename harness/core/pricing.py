"""What a price list is made of, and the price lists of the installed systems.

It has prices and quotas with their sources, and returns the lines of the bill for a given use,
however that use was measured or assumed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from harness.core.system import installed_systems, system_named

BYTES_PER_GB: Final = 1024**3
DAYS_PER_MONTH: Final = 30
MINUTES_PER_HOUR: Final = 60
LIST_REGION: Final = "us-east-1"
READ_IN: Final = "November 2026"

Bound = Literal[
    "connections", "connects_per_s", "deliveries_per_s", "publishes_per_s", "polls_per_s"
]
"""What a quota can limit."""


@dataclass(frozen=True, slots=True)
class Price:
    """A list price, in US dollars for every ``per`` units of something.

    Attributes:
        usd: Dollars for ``per`` units.
        per: How many units that is for.
        source: Where the price was read.
        tiers: (units a month from which it holds, dollars for ``per`` units), in order, where the
            price changes with volume. Units below the first tier cost ``usd``.
    """

    name: str
    usd: float
    per: float
    unit: str
    source: str
    tiers: tuple[tuple[float, float], ...] = ()
    region: str = LIST_REGION
    as_of: str = READ_IN

    def cost_usd(self, quantity: float, times_a_month: float = 1) -> float:
        """Return what a quantity costs that is used so many times a month.

        The month's units run through the tiers, and each time bears its equal share.
        """
        monthly = quantity * times_a_month
        bounds = [0.0, *(start for start, _ in self.tiers), math.inf]
        rates = [self.usd, *(usd for _, usd in self.tiers)]
        total = sum(
            max(min(monthly, end) - start, 0.0) * usd
            for start, end, usd in zip(bounds, bounds[1:], rates, strict=False)
        )
        return total / self.per / times_a_month

    def __str__(self) -> str:
        per = "" if self.per == 1 else f"{self.per:,.0f} "
        steps = "".join(f", ${usd:g} from {start:,.0f} a month" for start, usd in self.tiers)
        usd = f"{self.usd:.10f}".rstrip("0").rstrip(".")
        return f"${usd} per {per}{self.unit}{steps}"


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit that a service comes with.

    Attributes:
        unit: What is counted, over which time.
        is_raised_on_request: Whether the provider raises it; None where that is not known.
        source: Where it was read.
        bounds: What of a load it limits; None where it concerns one client or one message.
    """

    name: str
    limit: float
    unit: str
    is_raised_on_request: bool | None
    source: str
    region: str = LIST_REGION
    as_of: str = READ_IN
    bounds: Bound | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """Something that a price list leaves open, or that a team decides.

    Attributes:
        name: Its name on the command line.
        question: What is open.
        is_on: Whether it is counted by default.
    """

    name: str
    question: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill.

    Attributes:
        name: What is paid for.
        formula: How the quantity comes about, in words.
        switch: What decides whether it counts; None where it always does.
    """

    name: str
    formula: str
    quantity: float
    price: Price
    usd: float
    switch: Switch | None = None

    def counts(self, flipped: Iterable[str] = ()) -> bool:
        """Say whether the line is in the total, with the named switches turned the other way."""
        return self.switch is None or self.switch.is_on != (self.switch.name in set(flipped))


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one size: how many were published, and how many deliveries that made."""

    size_bytes: float
    published: float
    delivered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used of a system in a stretch of time.

    Attributes:
        hours: How long that was.
        times_a_month: How often such a stretch comes in a month; moves prices with tiers.
        events: By size.
        connected_peak: Most connections at a time.
        provisioned: Connections that servers stand ready for.
        connection_minutes: One client connected for one minute is one.
        handler_calls: Calls of the user's own code at a publish or a subscription.
        polls: Requests of clients that poll.
    """

    hours: float
    times_a_month: float = 1
    events: tuple[Events, ...] = ()
    connected_peak: float = 0
    provisioned: float = 0
    connection_minutes: float = 0
    connects: float = 0
    subscribes: float = 0
    handler_calls: float = 0
    polls: float = 0

    @property
    def published(self) -> float:
        """Events published, of all sizes."""
        return sum(each.published for each in self.events)

    @property
    def delivered(self) -> float:
        """Deliveries of events of all sizes."""
        return sum(each.delivered for each in self.events)

    @property
    def delivered_gb(self) -> float:
        """GB of events that went to subscribers."""
        return sum(each.delivered * each.size_bytes for each in self.events) / BYTES_PER_GB

    def published_steps(self, step_bytes: int) -> float:
        """Return the publishes, each counted once for every begun step of its size."""
        return sum(each.published * _steps(each.size_bytes, step_bytes) for each in self.events)

    def delivered_steps(self, step_bytes: int) -> float:
        """Return the deliveries, each counted once for every begun step of its size."""
        return sum(each.delivered * _steps(each.size_bytes, step_bytes) for each in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of live chat, as a price comparison assumes it.

    Attributes:
        connected: Users connected, as the mean over messages; not the peak.
        sizes: (bytes of an event, its share of the messages).
        hours: How long users are connected.
        reach: Share of those connected that a message goes to; 1 in a single room.
        sessions_per_user: Connections that a user opens in a day.
        subscriptions_per_session: Subscriptions that each connection makes.
        handler_calls_per_message: 1 where a handler runs at each publish.
        poll_interval_s: Seconds between two polls of a user who polls.
        provisioned: Users that servers stand ready for; None is as many as are connected.
    """

    connected: float = 30_000
    messages: float = 25_000
    sizes: tuple[tuple[float, float], ...] = ((512, 1.0),)
    hours: float = 24
    reach: float = 1
    sessions_per_user: float = 3
    subscriptions_per_session: float = 1
    handler_calls_per_message: float = 0
    poll_interval_s: float = 5
    provisioned: float | None = None

    def usage(self) -> Usage:
        """Return what such a day uses, thirty times a month."""
        connects = self.connected * self.sessions_per_user
        recipients = self.connected * self.reach
        return Usage(
            hours=24,
            times_a_month=DAYS_PER_MONTH,
            events=tuple(
                Events(size, self.messages * share, self.messages * share * recipients)
                for size, share in self.sizes
            ),
            connected_peak=self.connected,
            provisioned=self.connected if self.provisioned is None else self.provisioned,
            connection_minutes=self.connected * self.hours * MINUTES_PER_HOUR,
            connects=connects,
            subscribes=connects * self.subscriptions_per_session,
            handler_calls=self.messages * self.handler_calls_per_message,
            polls=self.connected * self.hours * 3600 / self.poll_interval_s,
        )

    def idle(self) -> "Day":
        """Return the same day without connections; servers keep running."""
        ready = self.connected if self.provisioned is None else self.provisioned
        return replace(self, connected=0, messages=0, provisioned=ready)


EGRESS_SWITCH: Final = Switch("egress", "Is traffic to clients paid for at the EC2 rate?", True)
EGRESS: Final = Price(
    "Traffic out of EC2", 0.09, 1, "GB", "aws.amazon.com/ec2/pricing/on-demand, first 10 TB"
)


def charge(
    name: str,
    formula: str,
    quantity: float,
    price: Price,
    usage: Usage,
    switch: Switch | None = None,
) -> Line:
    """Return the line of a bill for this quantity at this price."""
    usd = price.cost_usd(quantity, usage.times_a_month)
    return Line(name, formula, quantity, price, usd, switch)


def egress(usage: Usage) -> Line:
    """Return the line for the traffic of all deliveries."""
    words = "deliveries × bytes ÷ 1024³"
    return charge("egress", words, usage.delivered_gb, EGRESS, usage, EGRESS_SWITCH)


def total_usd(lines: Sequence[Line], flipped: Iterable[str] = ()) -> float:
    """Return what a bill comes to, with the named switches turned the other way."""
    return sum(line.usd for line in lines if line.counts(flipped))


def _steps(size_bytes: float, step_bytes: int) -> int:
    return max(math.ceil(size_bytes / step_bytes), 1)


class Economics(Protocol):
    """What the module offers that a system names as its ``economics``."""

    PRICES: tuple[Price, ...]
    QUOTAS: tuple[Quota, ...]

    def bill(self, usage: Usage) -> tuple[Line, ...]:
        """Return the lines of the bill for a use of the system."""
        ...


def priced_systems() -> Mapping[str, Economics]:
    """Return the price list of every installed system that has one, by the system's name."""
    priced = (name for name, system in installed_systems().items() if system.economics)
    return {name: system_named(name).load("economics") for name in priced}


def economics_of(system: str) -> Economics | None:
    """Return the price list of a system; None where it has none, or is not installed."""
    found = installed_systems().get(system)
    economics: Economics | None = found.load("economics") if found else None
    return economics


def is_made_of_others(system: Economics) -> bool:
    """Say whether a system's bill is the sum of others' bills, each for a part of the users."""
    return hasattr(system, "usage_of")


def step_bytes_of(system: Economics) -> int:
    """Return the step of its size by which a system counts an event; 0 where it counts whole."""
    step_bytes: int = getattr(system, "STEP_BYTES", 0)
    return step_bytes


def usage_on(system: Economics, day: Day) -> Usage:
    """Return what a day uses of a system; one made of others says who uses which of them."""
    usage: Callable[[Day], Usage] = getattr(system, "usage_of", Day.usage)
    return usage(day)


def switches_of(lines: tuple[Line, ...]) -> tuple[Switch, ...]:
    """Return what the lines of a bill depend on, in their order."""
    found = (line.switch for line in lines if line.switch is not None)
    return tuple(dict.fromkeys(found))
