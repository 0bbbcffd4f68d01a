"""A system under test as one object, and the registry of the systems that are installed.

A package offers its systems as entry points of the group ``harness.systems``; ours do the same::

    [project.entry-points."harness.systems"]
    toy = "toy:SYSTEM"

The object names the parts of a system by reference, and a process imports only those it needs: a
worker never holds an emulator, and a target is validated without either.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from harness.core.distribution import DISTRIBUTION
from harness.core.errors import MachineError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "harness.systems"
"""Entry-point group in which packages offer their systems."""

WEBSOCKET_SCHEMES: Final = ("wss", "ws")
HOW_TO_ADD: Final = "install the package that provides it; harness systems lists what is installed"

Part = Literal["client", "emulator", "emulator_options", "client_options", "auth", "economics"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One kind of live system: what it can do, and where its parts are.

    Each part is ``"package.module"`` or ``"package.module:attribute"``.

    Attributes:
        name: As target files write it, such as ``appsync-events``; also its entry point's name.
        title: As pages and tables write it.
        colour: Its colour in charts of several systems: ``#rrggbb``, on a light background.
        client: The class that makes clients, see ``harness.net.client.Api``.
        emulator: The class that plays the system; None where nothing does.
        emulator_options: Model of the target's ``[emulator]`` table; None for the shared one.
        client_options: Model of the target's ``[client]`` table; None for the shared one.
        auth: Model of the target's ``[auth]`` table; None for the shared one.
        economics: The module with its prices and quotas; None where nothing is known.
        auth_modes: What ``mode`` in ``[auth]`` may be.
        most_subscriptions: Channels that a client can subscribe to on one connection.
        wildcards: Whether one subscription can stand for all channels.
        polling_classes: User classes whose clients poll.
        realtime_schemes: Schemes of the subscribers' address, the encrypted one first.
    """

    name: str
    title: str
    client: str
    colour: str = "#7a8087"
    emulator: str | None = None
    emulator_options: str | None = None
    client_options: str | None = None
    auth: str | None = None
    economics: str | None = None
    auth_modes: tuple[str, ...] = ("api_key", "none")
    most_subscriptions: int = 1
    wildcards: bool = False
    polling_classes: tuple[str, ...] = ()
    realtime_schemes: tuple[str, str] = WEBSOCKET_SCHEMES

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} must be lower-case letters, digits and hyphens")
        if not _COLOUR.fullmatch(self.colour):
            raise ValueError(f"colour {self.colour!r} must be like #0f62ac")
        for part in PARTS:
            reference = getattr(self, part)
            if reference is not None and not _REFERENCE.fullmatch(reference):
                raise ValueError(f"{part} {reference!r} must be like package.module:attribute")

    def load(self, part: Part) -> Any:
        """Import one part of the system and return it; None where the system has none.

        Raises:
            MachineError: If it cannot be imported.
        """
        reference: str | None = getattr(self, part)
        if reference is None:
            return None
        module, _, attribute = reference.partition(":")
        try:
            found: Any = import_module(module)
            return attrgetter(attribute)(found) if attribute else found
        except (ImportError, AttributeError) as error:
            of_harness = (getattr(error, "name", None) or "").startswith("harness.")
            mend = "install a version for this harness" if of_harness else "reinstall the package"
            raise MachineError(
                f"system {self.name}",
                f"its {part} {reference} could not be imported ({error})",
                "a package must bring all parts of its system",
                f"{mend}; harness systems says which one it is",
            ) from error


@dataclass(frozen=True, slots=True)
class Registration:
    """One entry point of the group, working or not.

    Attributes:
        reference: Where it says that the ``System`` is.
        distribution: The package that brings it.
        system: The system; None where the entry point does not work.
        problem: Why it does not work.
    """

    name: str
    reference: str
    distribution: str
    version: str
    system: System | None
    problem: str = ""

    def __str__(self) -> str:
        where = f"{self.name} = {self.reference} of {self.distribution} {self.version}"
        return f"{where}: {self.problem}" if self.problem else where


@cache
def registrations() -> tuple[Registration, ...]:
    """Return every entry point of the group, by name, looked up once a process."""
    from importlib.metadata import entry_points  # noqa: PLC0415  `harness --help` needs none

    found: list[Registration] = []
    taken: dict[str, Registration] = {}
    for entry in sorted(entry_points(group=GROUP), key=_precedence):
        registration = _register(entry, taken.get(entry.name))
        found.append(registration)
        if registration.system is not None:
            taken[entry.name] = registration
    return tuple(sorted(found, key=attrgetter("name")))


def _precedence(entry: "EntryPoint") -> tuple[bool, str, str]:
    # Our own first: no other package can replace one of our systems.
    return (_distribution(entry) != DISTRIBUTION, _distribution(entry), entry.name)


def _distribution(entry: "EntryPoint") -> str:
    return entry.dist.name if entry.dist else ""


def _register(entry: "EntryPoint", other: Registration | None) -> Registration:
    system, problem = None, ""
    try:
        system = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it does, others must work
        problem = f"could not be loaded ({type(error).__name__}: {' '.join(str(error).split())})"
    else:
        if not isinstance(system, System):
            problem = f"is {type(system).__name__}, must be a harness System"
        elif system.name != entry.name:
            problem = f'is called "{system.name}", must have the name of its entry point'
        elif other is not None:
            problem = f"the name is already taken by {other.distribution} {other.version}"
    version = entry.dist.version if entry.dist else ""
    known = None if problem else system
    return Registration(entry.name, entry.value, _distribution(entry), version, known, problem)


def installed_systems() -> Mapping[str, System]:
    """Return the systems that are installed and can be loaded, by name."""
    working = (found.system for found in registrations() if found.system is not None)
    return MappingProxyType({system.name: system for system in working})


def broken_registration(name: str) -> Registration | None:
    """Return the entry point of this name that does not work, where there is one."""
    broken = (found for found in registrations() if found.problem and found.name == name)
    return next(broken, None)


def system_named(name: str) -> System:
    """Return an installed system.

    Raises:
        MachineError: If there is none of this name, or its entry point does not work.
    """
    systems = installed_systems()
    if name in systems:
        return systems[name]
    broken = broken_registration(name)
    found = "is not installed"
    hint = did_you_mean(name, systems) or HOW_TO_ADD
    if broken:
        found, package = f"is broken: {broken}", broken.distribution or "its package"
        hint = f"reinstall or repair {package}; harness systems lists what is installed"
    shown = name if name.strip() else repr(name)
    raise MachineError(f"system {shown}", found, f"must be one of {names_of(systems)}", hint)


def names_of(systems: Mapping[str, System]) -> str:
    """Return the names of systems for a sentence, or what to do where there are none at all."""
    return ", ".join(systems) or "those installed, but none is: reinstall fanout-harness"
