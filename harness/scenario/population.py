"""Who is connected: subscribers and chatters, and the ordinary Locust users beside them."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from harness.scenario.model import Count, ScenarioModel, broken_rule
from harness.scenario.slo import Slo

MOST_USERS = 10_000_000
"""No run comes near it; it stops a slip of the finger from filling the memory."""


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

    @field_validator("others")
    @classmethod
    def _others_are_classes(cls, others: dict[str, int]) -> dict[str, int]:
        for name in others:
            if not name.isidentifier():
                raise broken_rule(
                    f'must name User classes of the locustfile, and "{name}" is no class name',
                    hint="for example Browser = 200",
                )
        return others

    @field_validator("chatters_subscribe")
    @classmethod
    def _somebody_listens(cls, chatters_subscribe: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - the signature is pydantic's
        if not chatters_subscribe and info.data.get("subscribers") == 0:
            raise broken_rule(
                "must be true where subscribers = 0", hint="nobody would listen otherwise"
            )
        return chatters_subscribe

    @property
    def users(self) -> int:
        """Subscribers and chatters together."""
        return self.subscribers + self.chatters

    @property
    def ordinary_users(self) -> int:
        """Ordinary Locust users of all classes together."""
        return sum(self.others.values())

    @property
    def listeners(self) -> int:
        """Users who hold a subscription."""
        return self.users if self.chatters_subscribe else self.subscribers

    def why_nobody(self, slo: Slo) -> str:
        """Return why nobody of the kind of user an SLO is about can have its figure, or ""."""
        if slo.user_class == "subscriber" and not self.subscribers:
            return "population.subscribers is 0"
        if slo.user_class == "subscriber" and slo.metric.startswith("publishes."):
            return "only chatters publish"
        listens = not slo.metric.startswith(("publishes.", "joins."))
        if slo.user_class == "chatter" and listens and not self.chatters_subscribe:
            return "population.chatters_subscribe is false"
        return ""
