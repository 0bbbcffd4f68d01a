"""The study: which systems meet which workloads, what a team needs, and what counts as an answer.

A study names targets and workloads and changes them in the words of ``--set``; it has no load and
no system of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.core.errors import did_you_mean
from harness.core.metrics import SUMMARY_METRICS, find_metric
from harness.scenario.model import (
    Bytes,
    Count,
    PerSecond,
    ScenarioModel,
    Seconds,
    Unit,
    broken_rule,
)
from harness.scenario.overrides import TARGET_PREFIX
from harness.scenario.population import MOST_USERS
from harness.scenario.reading import read_model, read_toml
from harness.scenario.slo import Slo
from harness.scenario.workload import Name

SIZES = ("small", "full")
"""What a study can be run as."""

Overrides = Annotated[tuple[str, ...], Field(strict=False)]


class StudyNeed(ScenarioModel):
    """The requirements; runs are compared with them, and a day is priced."""

    connected: Count = Field(ge=1, le=MOST_USERS, description="Users connected at once.")
    chatters: Count = Field(ge=1, le=MOST_USERS, description="Different users who write in a day.")
    messages_per_day: Annotated[float, Unit("1/day")] = Field(
        gt=0, description="Messages in a day."
    )
    live_window_hours: Annotated[float, Unit("h")] = Field(
        default=24.0, gt=0, le=24, description="Hours of the day in which they are written."
    )
    joins_per_s: PerSecond = Field(gt=0, description="Joins a second when a show begins.")
    event_bytes: Bytes = Field(default=512, ge=1, description="Mean size of an event, for prices.")

    @property
    def messages_per_s(self) -> float:
        """Mean rate of messages while they are written."""
        return self.messages_per_day / (self.live_window_hours * 3600)


class StudySize(ScenarioModel):
    """How large a study is."""

    repeats: Count = Field(default=1, ge=1, le=100, description="Runs of each cell.")


class StudySystem(ScenarioModel):
    """One system of the matrix."""

    name: Name = Field(description="Its name in tables, folders and `baseline`.")
    label: str = Field(min_length=1, description="Name on pages.")
    approach: str = Field(default="", description="How it delivers a message, in a sentence.")
    target: str = Field(
        min_length=1, description="Target: a file, from this file's folder, or a name."
    )
    overrides: Overrides = Field(
        default=(),
        description="Changes to the target at any size, as `--set` takes them: "
        '`"target.emulator.processes=2"`.',
    )
    small: Overrides = Field(default=(), description="Further changes at the small size.")
    full: Overrides = Field(default=(), description="Further changes at the full size.")
    priced_as: Name | None = Field(
        default=None,
        description="System whose price list holds for those who are connected; the target's own "
        "where it is not given.",
    )
    viewers_poll_every_s: Seconds | None = Field(
        default=None,
        gt=0,
        description="Prices a hybrid: only chatters are connected, and all other users poll at "
        "this interval.",
    )

    @model_validator(mode="after")
    def _changes_the_target_alone(self) -> Self:
        hint = "a load that differs between systems compares nothing"
        _require_changes(self, of_target=True, hint=hint)
        return self


class StudyWorkload(ScenarioModel):
    """One workload of the matrix."""

    name: Name = Field(description="Its name in tables, folders and requirements.")
    label: str = Field(min_length=1, description="Name on pages.")
    workload: str = Field(
        min_length=1, description="Workload: a file, from this file's folder, or a name."
    )
    overrides: Overrides = Field(
        default=(),
        description='Changes to it at any size, as `--set` takes them: `"joins.retries=3"`.',
    )
    small: Overrides = Field(default=(), description="Further changes at the small size.")
    full: Overrides = Field(default=(), description="Further changes at the full size.")

    @model_validator(mode="after")
    def _changes_no_target(self) -> Self:
        hint = "changes to a target stand with its system"
        _require_changes(self, of_target=False, hint=hint)
        return self


class Requirement(ScenarioModel):
    """One requirement, and the run that tests it."""

    about: Literal["connected", "messages", "chatters", "scale_up", "scale_to_zero"] = Field(
        description="Kind of the requirement; decides which size, quota and price apply."
    )
    need: str = Field(min_length=1, description="The requirement, in a sentence.")
    workload: Name = Field(description="Name of the study's workload that shows it.")
    objectives: Annotated[tuple[Slo, ...], Field(strict=False, min_length=1)] = Field(
        description="What must hold in each run of that workload."
    )
    figures: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="Further figures of the run's summary to show."
    )

    @model_validator(mode="after")
    def _figures_exist(self) -> Self:
        for place, metric in enumerate(self.figures):
            if find_metric(metric) is None:
                raise broken_rule(
                    "must be a figure of the run's summary",
                    key=f"figures.{place}",
                    hint=did_you_mean(metric, SUMMARY_METRICS),
                )
        return self


class Study(ScenarioModel):
    """A whole study file."""

    name: Name = Field(description="Lower-case letters, digits and hyphens; part of the folder.")
    title: str = Field(min_length=1, description="The question, as the report's heading.")
    problem: str = Field(min_length=1, description="The present system and its problems.")
    baseline: Name = Field(description="Name of the system that the others are compared with.")
    need: StudyNeed = Field(description="What the team needs.")
    small: StudySize = Field(default=StudySize(), description="The size that any laptop carries.")
    full: StudySize = Field(default=StudySize(), description="The size of the need itself.")
    systems: Annotated[tuple[StudySystem, ...], Field(strict=False, min_length=1)] = Field(
        description="The columns of the matrix."
    )
    workloads: Annotated[tuple[StudyWorkload, ...], Field(strict=False, min_length=1)] = Field(
        description="The rows of the matrix."
    )
    requirements: Annotated[tuple[Requirement, ...], Field(strict=False, min_length=1)] = Field(
        description="What the report answers, in this order."
    )

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        systems = [one.name for one in self.systems]
        workloads = [one.name for one in self.workloads]
        _require_distinct("systems", systems)
        _require_distinct("workloads", workloads)
        _require_known("baseline", self.baseline, systems)
        for place, one in enumerate(self.requirements):
            _require_known(f"requirements.{place}.workload", one.workload, workloads)
        return self

    def repeats(self, size: str) -> int:
        """Return how often each cell is run at a size."""
        chosen: StudySize = getattr(self, size)
        return chosen.repeats


def load_study(file: Path) -> Study:
    """Read a study file; the files it names are not read.

    Raises:
        ScenarioError: With every problem of the file.
    """
    return read_model(file, Study)


def is_study(file: Path) -> bool:
    """Say whether a file's keys, or else its folder's name, are those of a study."""
    data: dict[str, Any] = read_toml(file, []) or {}
    return bool({"systems", "workloads", "requirements"} & data.keys()) or (
        file.absolute().parent.name == "studies"
    )


def overrides_of(size: str, *parts: StudySystem | StudyWorkload) -> list[str]:
    """Return the changes that workload and system ask for at a size, in order."""
    return [change for part in parts for change in (*part.overrides, *getattr(part, size))]


def _require_changes(part: StudySystem | StudyWorkload, *, of_target: bool, hint: str) -> None:
    for key in ("overrides", *SIZES):
        for change in getattr(part, key):
            if change.startswith(TARGET_PREFIX) != of_target:
                rule = f"must {'' if of_target else 'not '}start with {TARGET_PREFIX}"
                raise broken_rule(rule, key=key, hint=hint)


def _require_distinct(key: str, names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise broken_rule("must not be given twice", key=f"{key}.{place}.name")


def _require_known(key: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        rule = f"must be one of {', '.join(known)}"
        raise broken_rule(rule, key=key, hint=did_you_mean(name, known))
