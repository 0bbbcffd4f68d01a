"""A file of SLOs by itself, to judge a run by other limits than those it was made with."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.scenario.model import ScenarioModel, broken_rule
from harness.scenario.problems import Source, problems_of
from harness.scenario.reading import read_toml
from harness.scenario.slo import Slo

_BOTH: Final = frozenset({"phase", "user_class"})

SCOPES: Final = {
    "fan_out_latency_ms": _BOTH,
    "service_latency_ms": _BOTH,
    "receive_delay_ms": _BOTH,
    "publishes.latency_ms": _BOTH,
    "publishes.send_delay_ms": _BOTH,
    "joins.latency_ms": _BOTH,
    "joins.attempted": _BOTH,
    "joins.succeeded": _BOTH,
    "joins.failed": _BOTH,
    "deliveries.owed": {"phase"},
    "deliveries.received": {"phase"},
    "deliveries.lost": {"phase"},
    "deliveries.duplicated": {"phase"},
    "deliveries.reordered": {"phase"},
    "deliveries.late": {"phase"},
    "deliveries.unowed": {"phase"},
    "deliveries.ratio": {"phase"},
    "stall_s": {"user_class"},
}
"""What a run record keeps apart, and by what: a figure, or all figures of a block."""


class ScopedSlo(Slo):
    """One objective, perhaps on one phase or one kind of user alone."""

    phase: Literal["join", "settle", "warm_up", "measure", "drain"] | None = Field(
        default=None, description="The phase it is about; without it, as in the run's summary."
    )
    user_class: Literal["subscriber", "chatter"] | None = Field(
        default=None, description="The kind of user it is about; without it, all of them."
    )

    @model_validator(mode="after")
    def _record_keeps_it_apart(self) -> Self:
        block = self.metric.rpartition(".")[0]
        allowed = SCOPES.get(self.metric, SCOPES.get(block, frozenset()))
        for key in ("phase", "user_class"):
            if getattr(self, key) is not None and key not in allowed:
                raise broken_rule(
                    f"must not be given for {self.metric}",
                    hint=f"a run record does not keep {self.metric} apart by {key}",
                    key=key,
                )
        return self


class SloFile(ScenarioModel):
    """A file of SLOs."""

    slos: Annotated[tuple[ScopedSlo, ...], Field(strict=False, min_length=1)] = Field(
        description="What must hold."
    )


def load_slos(file: Path) -> tuple[ScopedSlo, ...]:
    """Read a file of SLOs.

    Raises:
        ScenarioError: With every problem of the file.
    """
    problems: list[ScenarioProblem] = []
    data = read_toml(file, problems)
    if data is None:
        raise ScenarioError(problems)
    try:
        return SloFile.model_validate(data).slos
    except ValidationError as error:
        source = Source(file=str(file), data=data, model=SloFile)
        raise ScenarioError(problems_of(error, source)) from None
