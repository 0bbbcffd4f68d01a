"""How large events are: the three ways in which a workload can say so."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from harness.core.message_token import LARGEST_MESSAGE_BYTES
from harness.scenario.model import Bytes, ScenarioModel, Unit, above, broken_rule

SMALLEST_EVENT_BYTES = 96
"""Room for a token, which takes 66 bytes, and for a short ``message`` of the target around it."""

EventBytes = Annotated[Bytes, Field(ge=SMALLEST_EVENT_BYTES, le=LARGEST_MESSAGE_BYTES)]
Weight = Annotated[float, Field(gt=0)]


class LognormalBytes(ScenarioModel):
    """Event sizes as chat has them: most are short, a few are long."""

    distribution: Literal["lognormal"] = Field(description="Kind of sizes.")
    median: Bytes = Field(default=300, gt=0, description="Half of the events are smaller.")
    p99: Bytes = Field(
        default=900, gt=0, validate_default=True, description="One event in a hundred is larger."
    )
    minimum: Bytes = Field(
        default=SMALLEST_EVENT_BYTES,
        ge=SMALLEST_EVENT_BYTES,
        description="Smaller draws are raised to this; the message's token alone needs 66.",
    )
    maximum: Bytes = Field(
        default=4000,
        le=LARGEST_MESSAGE_BYTES,
        validate_default=True,
        description="Larger draws are cut down to this.",
    )

    _p99_above_median = field_validator("p99")(
        above("median", hint='for events of one size write distribution = "fixed" and value')
    )
    _maximum_not_below_minimum = field_validator("maximum")(
        above("minimum", word="at least", or_equal=True)
    )


class FixedBytes(ScenarioModel):
    """Events of one size."""

    distribution: Literal["fixed"] = Field(description="Kind of sizes.")
    value: Bytes = Field(
        ge=SMALLEST_EVENT_BYTES,
        le=LARGEST_MESSAGE_BYTES,
        description="Size of every event; the message's token alone needs 66.",
    )


class ChoiceBytes(ScenarioModel):
    """Events of a few sizes, each drawn as often as its weight says."""

    distribution: Literal["choice"] = Field(description="Kind of sizes.")
    values: Annotated[tuple[EventBytes, ...], Unit("bytes")] = Field(
        strict=False, min_length=1, description="The sizes; the message's token alone needs 66."
    )
    weights: tuple[Weight, ...] = Field(
        default=(),
        strict=False,
        description="How often each size is drawn, relative to the others. Default: equally often.",
    )

    @field_validator("weights")
    @classmethod
    def _one_weight_a_value(
        cls, weights: tuple[float, ...], info: ValidationInfo
    ) -> tuple[float, ...]:
        values = info.data.get("values")
        if values is not None and weights and len(weights) != len(values):
            raise broken_rule(f"must have as many entries as values, which has {len(values)}")
        return weights
