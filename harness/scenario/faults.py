"""Faults an emulator plays on purpose: what, from when until when, on how many connections.

Times count from when a fault was told: from the emulator's start for those in its options, from
the request for those posted to a running one.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from harness.scenario.model import (
    Count,
    Milliseconds,
    Ratio,
    ScenarioModel,
    Seconds,
    above,
    broken_rule,
)

RESET = 1006
"""In place of a close code: no close at all, the connection is reset. Source: RFC 6455, 7.4.1."""

Delivery = Annotated[
    tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]], Field(strict=False)
]
"""Number of an event and number of a subscription, both from 0 in the order they came."""


class FixedDelay(ScenarioModel):
    """The same delay every time."""

    distribution: Literal["fixed"] = Field(description="Kind of delays.")
    value: Milliseconds = Field(gt=0, description="The delay.")


class UniformDelay(ScenarioModel):
    """Delays between two bounds, each as likely as the other."""

    distribution: Literal["uniform"] = Field(description="Kind of delays.")
    minimum: Milliseconds = Field(ge=0, description="Shortest delay.")
    maximum: Milliseconds = Field(gt=0, description="Longest delay.")

    _above_minimum = field_validator("maximum")(above("minimum"))


class LognormalDelay(ScenarioModel):
    """Delays as networks and queues have them: most are short, a few are long."""

    distribution: Literal["lognormal"] = Field(description="Kind of delays.")
    median: Milliseconds = Field(gt=0, description="Half of the delays are shorter.")
    p99: Milliseconds = Field(gt=0, description="One delay in a hundred is longer.")

    _above_median = field_validator("p99")(above("median"))


def _fixed(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"distribution": "fixed", "value": value} if is_number else value


DelayMs = Annotated[
    Annotated[FixedDelay | UniformDelay | LognormalDelay, Field(discriminator="distribution")],
    BeforeValidator(_fixed),
]
"""A distribution of delays; a bare number stands for a fixed one."""


class OneFault(ScenarioModel):
    """What every fault has."""

    from_s: Seconds = Field(
        default=0.0, ge=0, description="When it begins, counted from the time it was set."
    )
    seed: Count = Field(
        default=0,
        ge=0,
        description="Another selection of what it affects, in addition to the emulator's seed.",
    )


class LastingFault(OneFault):
    """A fault that goes on for a time."""

    until_s: Seconds | None = Field(
        default=None, gt=0, description="When it ends, counted likewise. Default: never."
    )

    _after_the_beginning = field_validator("until_s")(above("from_s", word="after"))


class DeliveryFault(LastingFault):
    """A fault of single deliveries: which of them it hits."""

    share: Ratio = Field(
        default=1.0, gt=0, le=1, description="Share of the connections it affects."
    )
    ratio: Ratio = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of their deliveries it affects, drawn at random.",
    )
    count: Count | None = Field(
        default=None, gt=0, description="Most deliveries it affects. Default: no limit."
    )
    deliveries: Annotated[tuple[Delivery, ...], Field(strict=False)] = Field(
        default=(),
        description="Hits just these: pairs of event and subscription, numbered from 0. With "
        "several processes P, process p numbers what comes to it p, p + P, p + 2 P and so on.",
    )

    @model_validator(mode="after")
    def _given_or_drawn(self) -> Self:
        drawn = self.share < 1 or self.ratio < 1 or self.count is not None
        if self.deliveries and drawn:
            raise broken_rule("must not be given besides share, ratio or count", key="deliveries")
        return self


class Delay(DeliveryFault):
    """Deliveries that are sent late; each subscription keeps its order."""

    kind: Literal["delay"] = Field(description="Kind of fault.")
    delay_ms: DelayMs = Field(description="How much later; a bare number, or a distribution.")


class Drop(DeliveryFault):
    """Deliveries that are never sent."""

    kind: Literal["drop"] = Field(description="Kind of fault.")


class Duplicate(DeliveryFault):
    """Deliveries that are sent twice, one copy after the other."""

    kind: Literal["duplicate"] = Field(description="Kind of fault.")


class Reorder(DeliveryFault):
    """Deliveries that are sent after later ones of their subscription."""

    kind: Literal["reorder"] = Field(description="Kind of fault.")
    depth: Count = Field(
        default=1, gt=0, le=1000, description="Number of deliveries sent before it."
    )


class Malformed(DeliveryFault):
    """Invalid frames, each sent just before an intact delivery."""

    kind: Literal["malformed"] = Field(description="Kind of fault.")
    form: Literal[
        "not_json", "not_a_message", "unknown_type", "binary", "bad_utf8", "reserved_bits"
    ] = Field(
        default="not_json",
        description="Text that is no JSON, JSON that is no message, a message of unknown type, "
        "a binary message, text that is no UTF-8, or a frame with bits that must be zero.",
    )


class Stall(LastingFault):
    """Connections on which nothing is sent for a time, and then everything in order."""

    kind: Literal["stall"] = Field(description="Kind of fault.")
    share: Ratio = Field(
        default=1.0, gt=0, le=1, description="Share of the connections that stall."
    )
    replies: bool = Field(
        default=False,
        description="Whether answers are held too, besides deliveries and keep-alives.",
    )


class Disconnect(OneFault):
    """Connections the server ends, all at one moment."""

    kind: Literal["disconnect"] = Field(description="Kind of fault.")
    share: Ratio = Field(default=1.0, gt=0, le=1, description="Share of the connections.")
    code: Count = Field(
        default=RESET, ge=1000, le=4999, description="WebSocket close code; 1006 resets instead."
    )


class RefuseConnects(LastingFault):
    """Connects that fail before the handshake is over."""

    kind: Literal["refuse_connects"] = Field(description="Kind of fault.")
    ratio: Ratio = Field(default=1.0, gt=0, le=1, description="Share of the connects.")
    status: Annotated[int, Field(ge=400, le=599)] | None = Field(
        default=None, description="HTTP status of the answer. Default: the connection is reset."
    )


class ThrottleConnects(LastingFault):
    """Connects answered as if the quota were exhausted."""

    kind: Literal["throttle_connects"] = Field(description="Kind of fault.")
    ratio: Ratio = Field(default=1.0, gt=0, le=1, description="Share of the connects.")


class ThrottlePublishes(LastingFault):
    """Publishes answered as if the quota were exhausted."""

    kind: Literal["throttle_publishes"] = Field(description="Kind of fault.")
    ratio: Ratio = Field(default=1.0, gt=0, le=1, description="Share of the publishes.")


class SlowAccept(LastingFault):
    """Connects whose handshake is answered late."""

    kind: Literal["slow_accept"] = Field(description="Kind of fault.")
    ratio: Ratio = Field(default=1.0, gt=0, le=1, description="Share of the connects.")
    delay_ms: DelayMs = Field(description="How late; a bare number, or a distribution.")


class ExpireCredentials(LastingFault):
    """All credentials count as expired, at connects and in every message that carries some."""

    kind: Literal["expire_credentials"] = Field(description="Kind of fault.")


Fault = Annotated[
    Delay
    | Drop
    | Duplicate
    | Reorder
    | Malformed
    | Stall
    | Disconnect
    | RefuseConnects
    | ThrottleConnects
    | ThrottlePublishes
    | SlowAccept
    | ExpireCredentials,
    Field(discriminator="kind"),
]
Faults = Annotated[tuple[Fault, ...], Field(strict=False)]
