"""What happens to a run on purpose: bursts, crowds, hang-ups, and faults of an emulated system.

Times count from the start of the measuring. What users do (burst, flash crowd, exit, slow readers)
works on any system; what the system does (faults, a killed process, a restart) needs an emulator.
"""

from typing import Annotated, Literal

from pydantic import Field

from harness.scenario.faults import Faults
from harness.scenario.model import Count, PerSecond, Ratio, ScenarioModel, Seconds


class OneDisturbance(ScenarioModel):
    """What every disturbance has."""

    name: str = Field(
        default="", max_length=60, description="Name in the report. Default: its kind."
    )
    at_s: Seconds = Field(ge=0, description="When it begins, from the start of the measuring.")

    kind: str

    @property
    def title(self) -> str:
        """What to call it."""
        return self.name or self.kind.replace("_", " ")


class BurstOfMessages(OneDisturbance):
    """All chatters write at once."""

    kind: Literal["burst"] = Field(description="Kind of disturbance.")
    length_s: Seconds = Field(gt=0, description="How long it lasts.")
    factor: float = Field(gt=0, description="Rate within it, over the rate outside.")


class FlashCrowd(OneDisturbance):
    """Users who join only later, all at once."""

    kind: Literal["flash_crowd"] = Field(description="Kind of disturbance.")
    share: Ratio = Field(gt=0, lt=1, description="Share of all users who join only then.")
    rate_per_s: PerSecond = Field(default=2000.0, gt=0, description="Joins a second.")


class Exit(OneDisturbance):
    """Users who leave, and optionally come back."""

    kind: Literal["exit"] = Field(description="Kind of disturbance.")
    share: Ratio = Field(default=1.0, gt=0, le=1, description="Share of all users who leave.")
    length_s: Seconds = Field(gt=0, description="Time over which they leave, evenly.")
    back_after_s: Seconds | None = Field(
        default=None,
        gt=0,
        description="When they begin to come back, counted from at_s. Default: never.",
    )
    back_rate_per_s: PerSecond = Field(default=2000.0, gt=0, description="Reconnects a second.")


class SlowReaders(OneDisturbance):
    """Users who stop reading for a while; the kernel and the system buffer their deliveries."""

    kind: Literal["slow_readers"] = Field(description="Kind of disturbance.")
    share: Ratio = Field(gt=0, le=1, description="Share of the users who are connected then.")
    length_s: Seconds = Field(gt=0, description="How long they do not read.")


class SystemFaults(OneDisturbance):
    """Faults that the emulator applies; earlier ones end when these begin."""

    kind: Literal["faults"] = Field(description="Kind of disturbance.")
    length_s: Seconds = Field(gt=0, description="When they are over, whatever they are.")
    faults: Faults = Field(min_length=1, description="As in `[[emulator.faults]]` of a target.")


class KilledProcess(OneDisturbance):
    """One of the emulator's processes is killed and replaced later."""

    kind: Literal["kill_process"] = Field(description="Kind of disturbance.")
    process: Count = Field(default=0, ge=0, description="Number of the process, from 0.")
    back_after_s: Seconds = Field(default=5.0, ge=0, description="How long it is missing.")


class Restart(OneDisturbance):
    """The whole emulator stops and starts again."""

    kind: Literal["restart"] = Field(description="Kind of disturbance.")
    back_after_s: Seconds = Field(default=5.0, ge=0, description="How long nothing serves.")


Disturbance = Annotated[
    BurstOfMessages | FlashCrowd | Exit | SlowReaders | SystemFaults | KilledProcess | Restart,
    Field(discriminator="kind"),
]
OF_THE_EMULATOR = (SystemFaults, KilledProcess, Restart)
"""Kinds that only an emulator can apply."""


def lasts_s(one: Disturbance, users: int) -> float:
    """Return how long a disturbance goes on, for a crowd of so many users."""
    if isinstance(one, FlashCrowd):
        return users * one.share / one.rate_per_s
    if isinstance(one, Exit):
        back_s = users * one.share / one.back_rate_per_s
        return one.length_s if one.back_after_s is None else one.back_after_s + back_s
    if isinstance(one, KilledProcess | Restart):
        return one.back_after_s
    return one.length_s


class Reconnect(ScenarioModel):
    """What a client does when the system, or the network, ends its connection."""

    policy: Literal["never", "fixed", "full_jitter", "browser"] = Field(
        default="full_jitter",
        description="Stay away; come back after base_s; after a random time up to base_s, doubled "
        "at each further attempt up to cap_s; or as a browser does with server-sent events: after "
        "the time the system told, base_s where it told none, and never after an answer that "
        "ends it for good.",
    )
    base_s: Seconds = Field(default=1.0, gt=0, description="The wait, or its first upper bound.")
    cap_s: Seconds = Field(default=30.0, gt=0, description="Longest wait.")
    attempts: Count = Field(
        default=20, ge=1, le=10_000, description="Most attempts after one loss."
    )

    def wait_s(self, attempt: int, chance: float, told_s: float | None = None) -> float:
        """Return how long to wait before an attempt.

        Args:
            attempt: 0 for the first after a loss.
            chance: A random number from 0 up to 1.
            told_s: What the system told clients to wait; None where it told nothing.
        """
        if self.policy == "browser":
            return self.base_s if told_s is None else told_s
        if self.policy == "fixed":
            return self.base_s
        return chance * float(min(self.cap_s, self.base_s * 2.0 ** min(attempt, 60)))
