"""The workload: what load, on no particular system."""

import math
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from harness.scenario.channels import Channels
from harness.scenario.disturbances import Disturbance, FlashCrowd, Reconnect
from harness.scenario.event_bytes import ChoiceBytes, FixedBytes, LognormalBytes
from harness.scenario.model import (
    Count,
    Milliseconds,
    PerSecond,
    Ratio,
    ScenarioModel,
    Seconds,
    Unit,
    above,
    broken_rule,
)
from harness.scenario.population import Population
from harness.scenario.slo import RunSlo

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]

# No run comes near these; they stop a slip of the finger from filling the memory.
HIGHEST_RATE_PER_S = 1_000_000.0
LONGEST_S = 604_800.0

_SECONDS_PER_HOUR = 3600.0
_WHOLE_DAY_HOURS = 24.0


class Joins(ScenarioModel):
    """How users arrive."""

    rate_per_s: PerSecond = Field(
        ge=0.001,
        le=HIGHEST_RATE_PER_S,
        description="Users who start to join each second, spread evenly inside it.",
    )
    retries: Count = Field(default=0, ge=0, le=1000, description="Retries of a failed join.")
    retry_base_s: Seconds = Field(
        default=1.0,
        gt=0,
        description="A first retry waits a random time up to this, each further one up to twice "
        "the last.",
    )
    retry_cap_s: Seconds = Field(default=30.0, gt=0, description="Longest wait before a retry.")
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="A join fails if it is not confirmed in this time."
    )


class Burst(ScenarioModel):
    """Recurring bursts in which all chatters write at once; none without this table."""

    factor: float = Field(gt=1, description="Rate inside a burst, over the rate outside.")
    length_s: Seconds = Field(gt=0, description="How long a burst lasts.")
    every_s: Seconds = Field(gt=0, description="Length of a period: calm first, then the burst.")

    _longer_than_the_burst = field_validator("every_s")(
        above("length_s", hint="a burst that never ends is a higher rate_per_s")
    )


class Publishing(ScenarioModel):
    """Sizes, rate and senders of the messages."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["rate_per_s"]}, {"required": ["messages_per_day"]}]
        }
    )

    messages_per_day: Annotated[float | None, Unit("1/day")] = Field(
        default=None,
        gt=0,
        le=HIGHEST_RATE_PER_S * _SECONDS_PER_HOUR,
        description="Messages from all chatters together in one day, outside bursts.",
    )
    live_window_hours: Annotated[float | None, Unit("h")] = Field(
        default=None,
        gt=0,
        le=_WHOLE_DAY_HOURS,
        description="Hours of the day in which messages_per_day are written; "
        "24 where it is not given.",
    )
    rate_per_s: Annotated[float | None, Unit("1/s")] = Field(
        default=None,
        gt=0,
        le=HIGHEST_RATE_PER_S,
        validate_default=True,
        description="Messages a second from all chatters together, outside bursts. "
        "Exactly one of rate_per_s and messages_per_day must be given.",
    )
    arrival: Literal["poisson", "uniform"] = Field(
        default="poisson",
        description="Gaps between messages: random, as of independent users, or all equal.",
    )
    chatter_zipf_skew: float = Field(
        default=0.7,
        ge=0,
        le=5,
        description="Talkativeness of chatters: chatter k has weight 1/(k+1)^skew. "
        "0 makes all equal.",
    )
    batch_size: Count = Field(
        default=1, ge=1, le=5, description="Messages sent together in one publish."
    )
    transport: Literal["websocket", "http"] = Field(
        default="websocket", description="Transport for publishing."
    )
    acknowledge_timeout_s: Seconds = Field(
        default=10.0,
        gt=0,
        description="A publish without acknowledgement in this time is unanswered.",
    )
    event_bytes: Annotated[
        LognormalBytes | FixedBytes | ChoiceBytes, Field(discriminator="distribution")
    ] = Field(
        default=LognormalBytes(distribution="lognormal"),
        description="Sizes of the events: the target's `message`, filled up.",
    )
    burst: Burst | None = Field(
        default=None, description="Recurring bursts; none where the table is left out."
    )

    @field_validator("live_window_hours")
    @classmethod
    def _window_of_a_day(cls, hours: float | None, info: ValidationInfo) -> float | None:
        if hours is not None and info.data.get("messages_per_day", hours) is None:
            raise broken_rule(
                "must not be given without messages_per_day",
                hint="rate_per_s already says how often; leave live_window_hours out",
            )
        return hours

    @field_validator("rate_per_s")
    @classmethod
    def _exactly_one_rate(cls, rate_per_s: float | None, info: ValidationInfo) -> float | None:
        per_day = info.data.get("messages_per_day", math.nan)
        if rate_per_s is None and per_day is None:
            raise broken_rule(
                "must be given where messages_per_day is not",
                hint="for one message every 20 s write rate_per_s = 0.05",
            )
        if rate_per_s is not None and per_day is not None:
            raise broken_rule(
                "must not be given together with messages_per_day", hint="keep one of the two"
            )
        return rate_per_s

    @property
    def mean_rate_per_s(self) -> float:
        """Messages a second outside bursts, from whichever rate was given."""
        if self.rate_per_s is not None:
            return self.rate_per_s
        hours = self.live_window_hours or _WHOLE_DAY_HOURS
        return (self.messages_per_day or 0.0) / (hours * _SECONDS_PER_HOUR)


class Phases(ScenarioModel):
    """Length of each part of a run; the time to join comes before and is calculated."""

    settle_s: Seconds = Field(
        default=2.0, ge=0, le=LONGEST_S, description="Pause after the last join, without messages."
    )
    warm_up_s: Seconds = Field(
        default=2.0,
        ge=0,
        le=LONGEST_S,
        description="Messages are sent, and do not count in the summary.",
    )
    measure_s: Seconds = Field(
        ge=1, le=LONGEST_S, description="Messages that are due in this time make the summary."
    )
    drain_s: Seconds = Field(
        default=3.0,
        gt=0,
        le=LONGEST_S,
        description="Nothing is sent; messages in flight may still arrive. Longer where the "
        "target's clients need that, as those that poll do.",
    )


class Generator(ScenarioModel):
    """Limits of the load generator beyond which a run is invalid, whatever the system did."""

    send_delay_p99_ms: Milliseconds = Field(
        default=100.0, gt=0, description="99th percentile of actual minus intended send time."
    )
    loop_lag_p99_ms: Milliseconds = Field(
        default=100.0, gt=0, description="99th percentile of how late a worker's event loop ran."
    )
    loop_lag_max_ms: Milliseconds = Field(
        default=1000.0, gt=0, description="Longest pause of a worker's event loop."
    )
    cpu_ratio: Ratio = Field(
        default=0.95, gt=0, le=1, description="Share of one core that a worker may use."
    )
    cpu_wait_ratio: Ratio = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Share of the time that a worker may wait for a core it does not get.",
    )
    machine_others_ratio: Ratio = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Share of the machine's cores that programs outside the run may have while "
        "none is left idle; where the system is emulated on the same machine.",
    )
    receive_delay_p99_ms: Milliseconds = Field(
        default=1000.0,
        gt=0,
        description="99th percentile of how long bytes wait between the kernel and the harness.",
    )
    receive_delay_growth_ms: Milliseconds = Field(
        default=250.0,
        gt=0,
        description="Growth of the receive delay over the measured time, quarter by quarter: "
        "more is a backlog.",
    )
    gc_pause_max_ms: Milliseconds = Field(
        default=500.0, gt=0, description="Longest pause for Python's garbage collector."
    )
    clock_step_max_ms: Milliseconds = Field(
        default=20.0, gt=0, description="Largest step of the realtime clock, forward or back."
    )
    clock_error_max_ms: Milliseconds = Field(
        default=10.0,
        gt=0,
        description="Most that a latency between two workers may be wrong because their clocks' "
        "offsets are known no better.",
    )
    late_slots_ratio: Ratio = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of messages that may be sent send_delay_p99_ms after their time.",
    )


class Safety(ScenarioModel):
    """When a run protects the system under test from more load."""

    error_storm_ratio: Ratio = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the joins and publishes of the last error_storm_s seconds above "
        "which the run is stopped in order. 1 never stops it.",
    )
    error_storm_s: Seconds = Field(
        default=30.0, ge=1, description="The window; fewer than 20 joins and publishes stop no run."
    )
    back_off_s: Seconds = Field(
        default=1.0,
        ge=0,
        description="A chatter whose publish was throttled keeps silent for a random time up to "
        "this, up to twice as long each further time in a row, 30 s at most, after any wait that "
        "the system asks for (`Retry-After`). What it was to send meanwhile is not sent, of which "
        "the run warns. 0 turns it off.",
    )


class Workload(ScenarioModel):
    """A whole workload file."""

    name: Name = Field(
        description="Lower-case letters, digits and hyphens; part of the record's folder name."
    )
    description: str = Field(default="", description="What the workload represents, in a sentence.")
    seed: int = Field(
        default=1, ge=0, le=2**32 - 1, description="Fixes every random choice of the run."
    )
    population: Population = Field(description="Who is connected.")
    joins: Joins = Field(description="How users arrive.")
    channels: Channels = Field(
        default=Channels(),
        description="The channels, and how users and messages are distributed over them.",
    )
    publishing: Publishing = Field(description="Sizes, rate and senders of the messages.")
    reconnect: Reconnect = Field(
        default=Reconnect(), description="What users do who lose their connection."
    )
    phases: Phases = Field(description="How long each part of a run lasts.")
    disturbances: tuple[Disturbance, ...] = Field(
        default=(), strict=False, description="What happens on purpose while measuring."
    )
    generator: Generator = Field(
        default=Generator(), description="Limits of the load generator itself."
    )
    safety: Safety = Field(default=Safety(), description="When the run spares the system.")
    slos: tuple[RunSlo, ...] = Field(
        default=(), strict=False, description="Objectives that decide between pass and fail."
    )

    @field_validator("channels")
    @classmethod
    def _channels_have_listeners(cls, channels: Channels, info: ValidationInfo) -> Channels:
        population: Population | None = info.data.get("population")
        if population and channels.count > population.listeners:
            raise broken_rule(
                f"must be at most {population.listeners}, the number of users who subscribe",
                key="count",
                hint="more channels than listeners leaves channels without any",
            )
        return channels

    @field_validator("disturbances")
    @classmethod
    def _disturbances_while_measuring(
        cls, disturbances: tuple[Disturbance, ...], info: ValidationInfo
    ) -> tuple[Disturbance, ...]:
        phases: Phases | None = info.data.get("phases")
        for place, one in enumerate(disturbances if phases else ()):
            if phases and one.at_s >= phases.measure_s:
                raise broken_rule(
                    f"must be below phases.measure_s = {phases.measure_s:g}",
                    key=f"{place}.at_s",
                    hint="times of disturbances count from the start of the measuring",
                )
        away = sum(one.share for one in disturbances if isinstance(one, FlashCrowd))
        if away >= 1:
            raise broken_rule("must leave users who join at the start", hint="lower the shares")
        return disturbances

    @field_validator("slos")
    @classmethod
    def _slos_on_parts_there_are(
        cls, slos: tuple[RunSlo, ...], info: ValidationInfo
    ) -> tuple[RunSlo, ...]:
        population: Population | None = info.data.get("population")
        phases: Phases | None = info.data.get("phases")
        for place, slo in enumerate(slos):
            if phases and slo.phase and getattr(phases, f"{slo.phase}_s", None) == 0:
                raise broken_rule(
                    "must be a phase that the workload has",
                    key=f"{place}.phase",
                    hint=f"phases.{slo.phase}_s is 0",
                )
            if population and (hint := population.why_nobody(slo)):
                raise broken_rule(
                    f"must be a kind of user that has {slo.metric}",
                    key=f"{place}.user_class",
                    hint=hint,
                )
        return slos

    @property
    def held_back_ratio(self) -> float:
        """Share of the users who come with a flash crowd and not at first."""
        return sum(one.share for one in self.disturbances if isinstance(one, FlashCrowd))
