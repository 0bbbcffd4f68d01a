"""The price lists of the installed systems."""

from collections.abc import Callable, Mapping
from typing import Protocol

from harness.core.pricing import Day, Line, Price, Quota, Switch, Usage
from harness.core.system import installed_systems, system_named


class Economics(Protocol):
    """What the module offers that a system names as its ``economics``."""

    PRICES: tuple[Price, ...]
    QUOTAS: tuple[Quota, ...]

    def bill(self, usage: Usage) -> tuple[Line, ...]:
        """Return the lines of the bill for a use of the system."""
        ...


def priced_systems() -> Mapping[str, Economics]:
    """Return the price list of every installed system that has one, by the system's name."""
    priced = (name for name, system in installed_systems().items() if system.economics)
    return {name: system_named(name).load("economics") for name in priced}


def economics_of(system: str) -> Economics | None:
    """Return the price list of a system; None where it has none, or is not installed."""
    found = installed_systems().get(system)
    economics: Economics | None = found.load("economics") if found else None
    return economics


def is_made_of_others(system: Economics) -> bool:
    """Say whether a system's bill is the sum of others' bills, each for a part of the users."""
    return hasattr(system, "usage_of")


def step_bytes_of(system: Economics) -> int:
    """Return the step of its size by which a system counts an event; 0 where it counts whole."""
    step_bytes: int = getattr(system, "STEP_BYTES", 0)
    return step_bytes


def usage_on(system: Economics, day: Day) -> Usage:
    """Return what a day uses of a system; one made of others says who uses which of them."""
    usage: Callable[[Day], Usage] = getattr(system, "usage_of", Day.usage)
    return usage(day)


def switches_of(lines: tuple[Line, ...]) -> tuple[Switch, ...]:
    """Return what the lines of a bill depend on, in their order."""
    found = (line.switch for line in lines if line.switch is not None)
    return tuple(dict.fromkeys(found))
