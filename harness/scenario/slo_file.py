"""SLO files, which judge a run by other limits than those of its workload."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.scenario.model import ScenarioModel
from harness.scenario.problems import Source, problems_of
from harness.scenario.reading import read_toml
from harness.scenario.slo import Slo


class SloFile(ScenarioModel):
    """A file of SLOs."""

    slos: Annotated[tuple[Slo, ...], Field(strict=False, min_length=1)] = Field(
        description="For each objective [[slos]], and below it metric, op and limit."
    )


def load_slos(file: Path) -> tuple[Slo, ...]:
    """Read a file of SLOs.

    Raises:
        ScenarioError: With every problem of the file.
    """
    problems: list[ScenarioProblem] = []
    data = read_toml(file, problems)
    if data is None:
        raise ScenarioError(problems)
    return _validated(str(file), data)


def read_slos(where: str, slos: Sequence[Mapping[str, Any]]) -> tuple[Slo, ...]:
    """Validate SLOs that were given as plain data.

    Args:
        where: What errors name in place of a file.
        slos: Each with metric, op and limit, and perhaps phase and user_class.

    Raises:
        ScenarioError: With everything that is wrong with them.
    """
    return _validated(where, {"slos": [dict(one) for one in slos]})


def _validated(where: str, data: dict[str, Any]) -> tuple[Slo, ...]:
    try:
        return SloFile.model_validate(data).slos
    except ValidationError as error:
        source = Source(file=where, data=data, model=SloFile)
        raise ScenarioError(problems_of(error, source)) from None


def is_slo_file(file: Path) -> bool:
    """Say whether a file holds nothing but SLOs, or is in a folder named ``slos``."""
    data = read_toml(file, []) or {}
    return data.keys() == {"slos"} or (not data and file.absolute().parent.name == "slos")
