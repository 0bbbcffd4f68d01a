"""A gate for pipelines: how much worse than the first side a figure of another may be."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.analysis.decide.comparison import METRICS, Comparison, Difference
from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.metric_types import Unit
from harness.core.metrics import unit_of

FLAG: Final = "--fail-if"
_RULE = re.compile(r"(?P<metric>\S+)\s+(?P<changes>[+-].*)")
_CHANGE = re.compile(r"(?P<amount>[+-]\d+(?:\.\d+)?)\s*(?P<unit>%|[A-Za-z/]*)")
_AND = re.compile(r"\s+and\s+")
_EXAMPLE: Final = (
    f"for example {FLAG} 'fan_out_latency_ms.p99 +10%', "
    f"{FLAG} 'fan_out_latency_ms.p99 +10% and +5 ms', {FLAG} 'deliveries.lost +0'"
)


@dataclass(frozen=True)
class Gate:
    """A figure, and the changes that it must exceed, all of them, to fail.

    Attributes:
        share: As a share of the first side's figure: +0.1 is ten percent more.
        amount: In the figure's own unit.
    """

    metric: str
    share: float | None = None
    amount: float | None = None

    def __str__(self) -> str:
        unit = unit_of(self.metric)
        words = [] if self.share is None else [f"{100 * self.share:+g}%"]
        if self.amount is not None:
            spaced = unit if unit is not Unit.RATIO else ""
            words.append(f"{self.amount:+g} {spaced}".rstrip())
        return f"{self.metric} {' and '.join(words)}"

    @property
    def falls(self) -> bool:
        """Whether it is a fall that fails, as in -10% and in -0."""
        return any(
            math.copysign(1, one) < 0 for one in (self.share, self.amount) if one is not None
        )

    def is_exceeded(self, seen: Difference) -> bool:
        """Return whether a difference is larger than each of the changes, in their direction."""
        allowed = [] if self.share is None else [self.share * abs(seen.first or 0.0)]
        allowed += [] if self.amount is None else [self.amount]
        found = seen.difference or 0.0
        return found < min(allowed) if self.falls else found > max(allowed)


@dataclass(frozen=True)
class Passage:
    """A gate beside one side's difference from the first; the verdict may be "no_data"."""

    gate: Gate
    side: str
    seen: Difference
    verdict: str


def parse_gates(rules: Sequence[str]) -> list[Gate]:
    """Return gates such as ``fan_out_latency_ms.p99 +10% and +5 ms``.

    Raises:
        ScenarioError: With every rule that cannot be read.
    """
    problems: list[ScenarioProblem] = []
    gates = [gate for rule in rules if (gate := _parse(rule.strip(), problems)) is not None]
    if problems:
        raise ScenarioError(problems)
    return gates


def _parse(rule: str, problems: list[ScenarioProblem]) -> Gate | None:
    """Return a gate; None where the rule cannot be read, with the problem added."""
    match = _RULE.fullmatch(rule)
    changes = [_CHANGE.fullmatch(one) for one in _AND.split(match["changes"])] if match else []
    found = {"share" if change["unit"] == "%" else "amount": change for change in changes if change}
    if match is None or len(found) != len(changes):
        required = "must be a figure and a change, in percent, in its unit, or both"
        problems.append(ScenarioProblem(FLAG, "", rule, required, _EXAMPLE))
        return None
    metric, unit = match["metric"], found["amount"]["unit"] if "amount" in found else ""
    if metric not in METRICS:
        required, hint = "must name a figure that is compared", "one of " + ", ".join(METRICS)
        problems.append(ScenarioProblem(FLAG, "", metric, required, hint))
        return None
    if unit and unit != unit_of(metric):
        required = f"must be in the unit of {metric}, {unit_of(metric) or 'none'}"
        problems.append(ScenarioProblem(FLAG, "", rule, required, _EXAMPLE))
        return None
    if len({change["amount"][0] for change in found.values()}) > 1:
        required = "must have one direction: both changes + or both -"
        problems.append(ScenarioProblem(FLAG, "", rule, required, _EXAMPLE))
        return None
    amounts = {name: float(change["amount"]) for name, change in found.items()}
    share = amounts["share"] / 100 if "share" in amounts else None
    return Gate(metric, share, amounts.get("amount"))


def pass_gates(comparison: Comparison, gates: Sequence[Gate]) -> list[Passage]:
    """Judge each side but the first by each gate.

    A gate fails where the figure changed by more than it allows, in its direction, and where there
    is an interval, it does not hold "no difference"; what the clocks alone may have made is none. A
    figure that a side lacks fails too.
    """
    passages = []
    for side, differences in zip(comparison.sides[1:], comparison.differences, strict=True):
        by_metric = {one.metric: one for one in differences}
        for gate in gates:
            seen = by_metric[gate.metric]
            passages.append(Passage(gate, side.name, seen, _judge(gate, seen)))
    return passages


def _judge(gate: Gate, seen: Difference) -> str:
    if seen.difference is None or seen.first is None:
        return "no_data"
    told_apart = seen.is_shown if seen.absolute else not seen.is_within_clocks
    return "fail" if gate.is_exceeded(seen) and told_apart else "pass"
