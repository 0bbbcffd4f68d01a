"""The workload's ``[channels]`` table: how many, how popular, and how many a user holds."""

import math
from collections.abc import Sequence

from pydantic import Field, ValidationInfo, field_validator

from harness.scenario.model import Count, Ratio, ScenarioModel, broken_rule

_HALVINGS = 60


class Channels(ScenarioModel):
    """The channels, and how users and messages are distributed over them."""

    count: Count = Field(default=1, ge=1, description="Number of channels.")
    zipf_skew: float = Field(
        default=0.0,
        ge=0,
        le=5,
        description="Popularity of channels, for messages and for subscribers alike: "
        "channel k has weight 1/(k+1)^skew. 0 makes all equal.",
    )
    subscriptions_per_client: Count = Field(
        default=1,
        ge=1,
        description="Different channels that each user who subscribes does so to, on one "
        "connection; popular ones are drawn more often.",
    )
    wildcard_share: Ratio = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the users who subscribe that do so to all channels at once, by the "
        "system's wildcard, and to nothing beside it.",
    )

    @field_validator("subscriptions_per_client")
    @classmethod
    def _enough_channels(cls, subscriptions: int, info: ValidationInfo) -> int:
        count = info.data.get("count")
        if count is not None and subscriptions > count:
            raise broken_rule(
                f"must be at most count = {count}",
                hint="a client subscribes to a channel once; make more channels",
            )
        return subscriptions

    @property
    def weights(self) -> list[float]:
        """Share of the messages that each channel gets; they add up to 1."""
        popularity = [math.pow(place + 1, -self.zipf_skew) for place in range(self.count)]
        total = sum(popularity)
        return [each / total for each in popularity]

    @property
    def subscriptions_mean(self) -> float:
        """Subscriptions of a user who subscribes, on average: a wildcard is one."""
        return self.wildcard_share + (1 - self.wildcard_share) * self.subscriptions_per_client

    @property
    def reach(self) -> float:
        """Share of the users who subscribe that a message goes to, on average over messages.

        Messages and subscribers prefer the same channels.
        """
        weights = self.weights
        held = _held(weights, self.subscriptions_per_client)
        meeting = sum(weight * share for weight, share in zip(weights, held, strict=True))
        return self.wildcard_share + (1 - self.wildcard_share) * meeting


def _held(weights: Sequence[float], subscriptions: int) -> Sequence[float]:
    """Return the share of clients that hold each channel, of those that hold so many.

    Drawing different channels one after the other is what exponential clocks with these rates do
    that ring before some time t, where t is such that as many have rung on average. Exact for one
    subscription and for all; near otherwise (Rosén, Annals of Mathematical Statistics 43, 1972).
    """
    if subscriptions == 1:
        return weights
    if subscriptions == len(weights):
        return [1.0] * len(weights)

    def rung(time: float) -> list[float]:
        return [-math.expm1(-weight * time) for weight in weights]

    low, high = 0.0, 1.0
    while sum(rung(high)) < subscriptions:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(rung(middle)) < subscriptions else (low, middle)
    return rung(high)
