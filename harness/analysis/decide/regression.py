"""A gate for pipelines: how much worse than the first side a figure of another may be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.analysis.decide.comparison import METRICS, Comparison, Difference
from harness.core.errors import ScenarioError, ScenarioProblem

FLAG: Final = "--fail-if"
_RULE = re.compile(r"(?P<metric>\S+)\s+(?P<percent>[+-]\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True)
class Gate:
    """A figure, and the change from which on it fails: +0.1 is ten percent more."""

    metric: str
    change: float

    def __str__(self) -> str:
        return f"{self.metric} {100 * self.change:+g}%"


@dataclass(frozen=True)
class Passage:
    """A gate beside one side's difference from the first; the verdict may be "no_data"."""

    gate: Gate
    side: str
    seen: Difference
    verdict: str


def parse_gates(rules: Sequence[str]) -> list[Gate]:
    """Return gates such as ``fan_out_latency_ms.p99 +10%``.

    Raises:
        ScenarioError: With every rule that cannot be read.
    """
    problems, gates = [], []
    for rule in rules:
        match = _RULE.fullmatch(rule.strip())
        if match is None:
            required = "must be a figure and a change in percent"
            hint = f"for example {FLAG} 'fan_out_latency_ms.p99 +10%'"
            problems.append(ScenarioProblem(FLAG, "", rule, required, hint))
        elif match["metric"] not in METRICS:
            required = "must name a figure that is compared"
            hint = "one of " + ", ".join(METRICS)
            problems.append(ScenarioProblem(FLAG, "", match["metric"], required, hint))
        else:
            gates.append(Gate(match["metric"], float(match["percent"]) / 100))
    if problems:
        raise ScenarioError(problems)
    return gates


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
    allowed = gate.change * abs(seen.first)
    beyond = seen.difference > allowed if gate.change >= 0 else seen.difference < allowed
    told_apart = seen.is_shown if seen.absolute else not seen.is_within_clocks
    return "fail" if beyond and told_apart else "pass"
