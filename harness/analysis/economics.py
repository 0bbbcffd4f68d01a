"""The price lists there are, found by the names of the systems' folders."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol, cast

from harness.core.pricing import Day, Line, Price, Quota, Switch, Usage

_FILE: Final = "economics.py"


class Economics(Protocol):
    """What a system's ``economics.py`` offers."""

    NAME: str
    PRICES: tuple[Price, ...]
    QUOTAS: tuple[Quota, ...]

    def bill(self, usage: Usage) -> tuple[Line, ...]:
        """Return the lines of the bill for a use of the system."""
        ...


def priced_systems() -> Mapping[str, Economics]:
    """Return the price list of every system that has one, by the system's name."""
    spec = find_spec("harness.systems")
    places = (spec.submodule_search_locations if spec else None) or []
    folders = (folder for place in places for folder in Path(place).iterdir())
    names = sorted(folder.name for folder in folders if (folder / _FILE).is_file())
    return {
        name.replace("_", "-"): cast(
            "Economics", import_module(f"harness.systems.{name}.economics")
        )
        for name in names
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
