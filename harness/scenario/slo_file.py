"""SLO files, which judge a run by other limits than those of its workload."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from harness.scenario.model import ScenarioModel
from harness.scenario.reading import read_model, read_toml, validated
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
    return read_model(file, SloFile).slos


def read_slos(where: str, slos: Sequence[Mapping[str, Any]]) -> tuple[Slo, ...]:
    """Validate SLOs that were given as plain data; errors name ``where`` in place of a file.

    Raises:
        ScenarioError: With everything that is wrong with them.
    """
    return validated(where, {"slos": [dict(one) for one in slos]}, SloFile).slos


def is_slo_file(file: Path) -> bool:
    """Say whether a file holds nothing but SLOs, or is in a folder named ``slos``."""
    data = read_toml(file, []) or {}
    return data.keys() == {"slos"} or (not data and file.absolute().parent.name == "slos")
