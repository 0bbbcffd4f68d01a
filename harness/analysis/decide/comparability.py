"""Whether runs may be compared: the same load from the same generator on the same machine."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.validity import why_invalid
from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode
from harness.core.load_differences import WIDENING, kind_of

_NO_LOAD: Final = {"name", "description", "slos"}
"""Keys of a workload that change nothing of what is sent."""
SEED: Final = "workload.seed"
_MACHINE: Final = ("cpu_model", "cpus", "kernel", "open_files_limit")
_GIB: Final = 2**30
_MOST_SHOWN: Final = 6


class Incompatibility(NamedTuple):
    """A key in which runs differ that should be alike, with the values found, in words."""

    key: str
    found: str

    @property
    def kind(self) -> str:
        """What kind of difference it is, one of ``KINDS``."""
        return kind_of(self.key)

    @property
    def widens(self) -> bool:
        """Whether it only makes the judgement less certain."""
        return self.kind in WIDENING


class IncomparableRunsError(HarnessError):
    """Runs were to be compared that differ in more than the system."""

    exit_code = ExitCode.NOT_COMPARABLE

    def __init__(self, unlike: Sequence[Incompatibility]) -> None:
        kinds = ",".join(dict.fromkeys(one.kind for one in unlike))
        shown = "; ".join(f"{one.key} is {one.found}" for one in unlike[:_MOST_SHOWN])
        more = len(unlike) - _MOST_SHOWN
        super().__init__(
            "compare",
            shown + (f"; and {more} more" if more > 0 else ""),
            "runs that are compared must be the same in all but the target",
            f"--allow {kinds} compares them all the same, and says so in red on the page",
        )
        self.unlike = tuple(unlike)


def find_incompatibilities(sides: Sequence[Sequence[Analysis]]) -> list[Incompatibility]:
    """Return why runs are no runs to compare, then every key in which they differ.

    A run that is invalid has nothing to compare, and one that is damaged has less. Between sides
    workload, seed, generator and machine must agree; within a side the target too.
    """
    runs = [(_name(place), analysis) for place, side in enumerate(sides) for analysis in side]
    found = [
        Incompatibility(
            "verdict", f"invalid in {name} ({one.record.folder.name}): {why_invalid(one.summary)}"
        )
        for name, one in runs
        if one.summary["verdict"] == "invalid"
    ]
    found += [
        Incompatibility("record", f"damaged in {name} ({one.record.folder.name}): {problem}")
        for name, one in runs
        for problem in one.record.problems
    ]
    # Without its run.json, what a record ran is unknown; that is reported above.
    known = [(name, one) for name, one in runs if not one.record.is_recovered]
    found += _differences(_seeds(known))
    found += _differences([(name, _load(one)) for name, one in known])
    for place in range(len(sides)):
        side = [(name, one) for name, one in known if name == _name(place)]
        found += _differences([(name, flatten("target", one.record.target)) for name, one in side])
    return found


def refuse_unlike(
    sides: Sequence[Sequence[Analysis]], allowed: Collection[str] = ()
) -> list[Incompatibility]:
    """Return in what runs differ; those of another machine or kernel are not refused.

    Args:
        sides: The runs of each side.
        allowed: Kinds of differences, of ``KINDS``, that are not refused either.

    Raises:
        IncomparableRunsError: If they differ in anything else.
    """
    unlike = find_incompatibilities(sides)
    refused = [one for one in unlike if not one.widens and one.kind not in allowed]
    if refused:
        raise IncomparableRunsError(refused)
    return unlike


def flatten(path: str, value: Any) -> dict[str, Any]:
    """Return nested tables as dotted keys."""
    if not isinstance(value, Mapping):
        return {path: value}
    return {
        key: one for name in value for key, one in flatten(f"{path}.{name}", value[name]).items()
    }


def load_of(run: Json) -> dict[str, Any]:
    """Return what a run ran, on which target and which machine, as dotted keys."""
    plan, environment = run.get("plan", {}), run.get("environment", {})
    workload = {k: v for k, v in plan.get("workload", {}).items() if k not in _NO_LOAD}
    return {
        **flatten("workload", workload),
        **flatten("target", plan.get("target", {})),
        "generator.workers": len(run.get("workers", [])),
        **{f"machine.{name}": environment.get(name) for name in ("cpu_model", "cpus")},
    }


def _seeds(runs: Sequence[tuple[str, Analysis]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the seeds of each side: its runs may differ in them, sides must not."""
    seeds: dict[str, set[Any]] = {}
    for name, analysis in runs:
        seeds.setdefault(name, set()).add(analysis.record.workload.get("seed"))
    return [(name, {SEED: "+".join(sorted(map(str, of_side)))}) for name, of_side in seeds.items()]


def _load(analysis: Analysis) -> dict[str, Any]:
    record = analysis.record
    environment: Json = record.run.get("environment", {})
    of_all = _NO_LOAD | {"seed"}
    workload = {name: one for name, one in record.workload.items() if name not in of_all}
    memory = environment.get("memory_bytes")
    return {
        **flatten("workload", workload),
        "generator.workers": len(record.run.get("workers", [])),
        "generator.python": environment.get("python"),
        "generator.receive_path": environment.get("receive_path"),
        **flatten("generator.versions", environment.get("versions", {})),
        **{f"machine.{name}": environment.get(name) for name in _MACHINE},
        "machine.memory_gib": None if memory is None else round(memory / _GIB),
    }


def _differences(runs: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[Incompatibility]:
    for key in dict.fromkeys(key for _, one in runs for key in one):
        values: dict[str, list[str]] = {}
        for name, one in runs:
            names = values.setdefault(_shown(one.get(key)), [])
            names += [name] if name not in names else []
        if len(values) > 1:
            yield Incompatibility(
                key, ", ".join(f"{value} in {'+'.join(n)}" for value, n in values.items())
            )


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def _name(place: int) -> str:
    return chr(ord("A") + place)
