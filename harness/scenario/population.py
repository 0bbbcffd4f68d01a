"""Who is connected: subscribers and chatters, and the ordinary Locust users beside them."""

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from harness.core.metric_types import CHATTER, SUBSCRIBER
from harness.scenario.model import Count, ScenarioModel, broken_rule
from harness.scenario.slo import Slo

MOST_USERS = 10_000_000
"""No run comes near it; it stops a slip of the finger from filling the memory."""


def weighted(weights: Mapping[str, float], users: int) -> dict[str, int]:
    """Return how many users of each class its weight, for each subscriber and chatter, makes."""
    # Rounded first: 0.1 for each of 30 must not be 3.0000000000000004.
    return {name: math.ceil(round(weight * users, 6)) for name, weight in weights.items()}


class Population(ScenarioModel):
    """Who is connected."""

    subscribers: Count = Field(ge=0, le=MOST_USERS, description="Users who only listen.")
    chatters: Count = Field(ge=1, le=MOST_USERS, description="Users who publish.")
    connections_per_user: Count = Field(
        default=1,
        ge=1,
        le=10_000,
        description="Connections that one Locust user holds. More than 1 saves memory: Locust then "
        "shows fewer users than there are connections.",
    )
    chatters_subscribe: bool = Field(
        default=True, description="Whether chatters also hold a subscription, as chat clients do."
    )
    others: dict[str, Annotated[Count, Field(ge=0, le=MOST_USERS)]] = Field(
        default={},
        description="Ordinary Locust users that run beside subscribers and chatters: how many of "
        "each class of the locustfile, such as Browser = 200. 0 leaves a class out.",
    )
    other_weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(
        default={},
        description="The same by weight: so many of a class for each subscriber and chatter, "
        "rounded up, so Browser = 0.1 is one for every ten. They grow with the population.",
    )

    @property
    def fan_out(self) -> dict[str, int]:
        """Number of users of each class that holds connections to the system under test."""
        return {SUBSCRIBER: self.subscribers, CHATTER: self.chatters}

    @field_validator("others", "other_weights")
    @classmethod
    def _others_are_classes(
        cls, others: dict[str, float], info: ValidationInfo
    ) -> dict[str, float]:
        for name in others:
            if not name.isidentifier():
                raise broken_rule(
                    f'must name User classes of the locustfile, and "{name}" is no class name',
                    hint="for example Browser = 200",
                )
        both = sorted(info.data.get("others", {}).keys() & others.keys())
        if both:
            raise broken_rule(
                f"must not name {both[0]}, which population.others counts already",
                hint="keep one of the two",
            )
        return others

    @field_validator("chatters_subscribe")
    @classmethod
    def _somebody_listens(cls, chatters_subscribe: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - the signature is pydantic's
        if not chatters_subscribe and info.data.get("subscribers") == 0:
            raise broken_rule(
                "must be true where subscribers = 0",
                hint="otherwise no user would receive messages",
            )
        return chatters_subscribe

    @property
    def users(self) -> int:
        """Subscribers and chatters together."""
        return self.subscribers + self.chatters

    @property
    def ordinary(self) -> dict[str, int]:
        """How many ordinary users there are of each class, given as a number or by weight."""
        return self.others | weighted(self.other_weights, self.users)

    @property
    def listeners(self) -> int:
        """Users who hold a subscription."""
        return self.users if self.chatters_subscribe else self.subscribers

    def why_nobody(self, slo: Slo) -> str:
        """Return why no user of an SLO's class can have its figure, or ""."""
        if slo.user_class == "subscriber" and not self.subscribers:
            return "population.subscribers is 0"
        if slo.user_class == "subscriber" and slo.metric.startswith("publishes."):
            return "only chatters publish"
        listens = not slo.metric.startswith(("publishes.", "joins."))
        if slo.user_class == "chatter" and listens and not self.chatters_subscribe:
            return "population.chatters_subscribe is false"
        return ""
