"""Changes of the command line to a scenario file before it is validated."""

import math
import tomllib
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from harness.core.errors import ScenarioProblem
from harness.scenario.population import weighted
from harness.scenario.problems import Source

SET = "--set"
USERS = "--users"
SPAWN_RATE = "--spawn-rate"

TARGET_PREFIX = "target."
_REPLACES = {
    "publishing.rate_per_s": ("messages_per_day", "live_window_hours"),
    "publishing.messages_per_day": ("rate_per_s",),
    "publishing.event_bytes.distribution": (
        *("median", "p99", "minimum", "maximum", "value", "values", "weights"),
    ),
}
"""Keys that a change removes from the file, because they contradict the new value."""


def apply_overrides(
    overrides: Sequence[str], workload: Source, target: Source
) -> list[ScenarioProblem]:
    """Write every ``key=value`` into its file; return the problems of the others."""
    problems = []
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            rule, hint = "must have the form key=value", "for example --set publishing.rate_per_s=2"
            problems.append(ScenarioProblem(SET, "", override or "nothing", rule, hint))
        elif key.startswith(TARGET_PREFIX):
            problems += _override(target, key.removeprefix(TARGET_PREFIX), toml_value(text))
        else:
            problems += _override(workload, key, toml_value(text))
    return problems


def toml_value(text: str) -> Any:
    """Return ``text`` as TOML reads a value; any other text is a string."""
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # Text with a line break could bring further keys; then it is not one value.
    return document["value"] if len(document) == 1 else text


def scale_population(workload: Source, users: int) -> list[ScenarioProblem]:
    """Set the population to ``users``, keeping the share of each kind as far as possible.

    Each kind of which the file had some keeps one at least. A population that does not validate
    is left alone: its own problems are reported.
    """
    population = workload.data.get("population")
    if not isinstance(population, dict):
        return []
    subscribers, chatters = population.get("subscribers"), population.get("chatters")
    if not (_is_count(subscribers) and _is_count(chatters)) or subscribers + chatters == 0:
        return []
    others = population.get("others", {})
    weights = population.get("other_weights", {})
    if not (_is_table(others, _is_count) and _is_table(weights, _is_weight)):
        return []
    fewest_subscribers, fewest_chatters = min(subscribers, 1), min(chatters, 1)
    fewest_others = sum(min(count, 1) for count in others.values()) + len(weights)
    fewest = fewest_subscribers + fewest_chatters + fewest_others
    if users < fewest:
        hint = "at least one subscriber and one chatter" if fewest > 1 else None
        hint = "at least one user of each kind" if fewest_others else hint
        return [ScenarioProblem(USERS, "", str(users), f"must be >= {fewest}", hint)]
    if others or weights:
        fan_out = subscribers + chatters
        total = fan_out + sum(others.values()) + sum(weighted(weights, fan_out).values())
        others = _scaled(others, users / total, users - fewest)
        population = population | {"others": others}
        users = _fan_out(users - sum(others.values()), weights)
    share = math.floor(users * chatters / (subscribers + chatters) + 0.5)
    scaled = min(max(share, fewest_chatters), users - fewest_subscribers)
    workload.data["population"] = population | {"subscribers": users - scaled, "chatters": scaled}
    workload.changed |= {"population.subscribers": USERS, "population.chatters": USERS}
    return []


def _scaled(others: dict[str, int], factor: float, spare: int) -> dict[str, int]:
    """Return the counts times ``factor``; one of each class at least, ``spare`` more at most."""
    scaled = {}
    for name, count in others.items():
        extra = min(max(math.floor(count * factor + 0.5) - 1, 0), spare) if count else 0
        spare -= extra
        scaled[name] = min(count, 1) + extra
    return scaled


def _fan_out(users: int, weights: dict[str, float]) -> int:
    """Return how many of ``users`` are subscribers and chatters, the rest having weights."""
    fan_out = users
    while fan_out > 1 and fan_out + sum(weighted(weights, fan_out).values()) > users:
        # Each step comes closer from above, by one user at least.
        over = fan_out + sum(weighted(weights, fan_out).values()) - users
        fan_out -= max(1, math.floor(over / (1 + sum(weights.values()))))
    return fan_out


def set_join_rate(workload: Source, join_rate_per_s: float) -> None:
    """Set the join rate to ``join_rate_per_s``."""
    joins = workload.data.get("joins", {})
    if isinstance(joins, dict):
        workload.data["joins"] = joins | {"rate_per_s": join_rate_per_s}
        workload.changed["joins.rate_per_s"] = SPAWN_RATE


def _override(source: Source, key: str, value: Any) -> list[ScenarioProblem]:
    """Write ``value`` at ``key``, creating missing tables."""
    parts = key.split(".")
    container: Any = source.data
    first_new = len(parts)
    for depth, part in enumerate(parts[:-1], start=1):
        if isinstance(container, dict) and part not in container:
            container[part] = {}
            first_new = min(first_new, depth)
        step = _step(container, part)
        if step is None:
            return [_no_place(source, parts, depth - 1, container)]
        container = container[step]
    step = _step(container, parts[-1])
    if step is None:
        return [_no_place(source, parts, len(parts) - 1, container)]
    if key in _REPLACES and container.get(step) != value:
        table = key.rpartition(".")[0]
        for name in _REPLACES[key]:
            if f"{table}.{name}" not in source.changed:
                container.pop(name, None)
    container[step] = value
    source.changed[".".join(parts[:first_new])] = SET
    return []


def _step(container: Any, part: str) -> str | int | None:
    """Return ``part`` as a key or as a place in an array; None where it can be neither."""
    if isinstance(container, dict):
        return part
    places = [str(place) for place in range(len(container))] if isinstance(container, list) else []
    return places.index(part) if part in places else None


def _no_place(source: Source, parts: list[str], depth: int, container: Any) -> ScenarioProblem:
    place = ".".join(parts[:depth])
    is_array = isinstance(container, list)
    reason = f"has {len(container)} entries" if is_array else "is not a table"
    key = f"{source.key_prefix}{'.'.join(parts)}"
    return ScenarioProblem(SET, key, "", f"does not exist: {place} {reason}")


def _is_table(value: object, is_right: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(map(is_right, value.values()))


def _is_weight(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 < value < math.inf


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0
