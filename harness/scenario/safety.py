"""The ``[safety]`` table of a workload: when a run spares the system under test."""

from pydantic import Field

from harness.scenario.model import Ratio, ScenarioModel, Seconds


class Safety(ScenarioModel):
    """Limits that protect the system under test."""

    error_storm_ratio: Ratio = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the joins and publishes of the last error_storm_s seconds above "
        "which the run is stopped in order. 1 never stops it.",
    )
    error_storm_s: Seconds = Field(
        default=30.0,
        ge=1,
        description="Length of the window. Fewer than 20 failures never stop a run.",
    )
    back_off_s: Seconds = Field(
        default=1.0,
        ge=0,
        description="A chatter whose publish was throttled keeps silent for a random time up to "
        "this, up to twice as long each further time in a row, 30 s at most. What it was to send "
        "meanwhile is not sent, of which the run warns. 0 turns it off.",
    )
