"""The price lists of the installed systems."""

from collections.abc import Callable, Mapping
from typing import Protocol

from harness.core.pricing import Day, Line, Price, Quota, Switch, Usage
from harness.core.system import installed_systems


class Economics(Protocol):
    """What the module offers that a system names as its ``economics``."""

    NAME: str
    PRICES: tuple[Price, ...]
    QUOTAS: tuple[Quota, ...]

    def bill(self, usage: Usage) -> tuple[Line, ...]:
        """Return the lines of the bill for a use of the system."""
        ...


def priced_systems() -> Mapping[str, Economics]:
    """Return the price list of every system that has one, by the system's name."""
    systems = installed_systems()
    return {
        name: systems[name].load("economics") for name in sorted(systems) if systems[name].economics
    }


def is_made_of_others(system: Economics) -> bool:
    """Say whether a system's bill is the sum of others' bills, each for a part of the users."""
    return hasattr(system, "usage_of")


def usage_on(system: Economics, day: Day) -> Usage:
    """Return what a day uses of a system; one made of others says who uses which of them."""
    usage: Callable[[Day], Usage] = getattr(system, "usage_of", Day.usage)
    return usage(day)


def switches_of(lines: tuple[Line, ...]) -> tuple[Switch, ...]:
    """Return what the lines of a bill depend on, in their order."""
    found = (line.switch for line in lines if line.switch is not None)
    return tuple(dict.fromkeys(found))
