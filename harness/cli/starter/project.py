"""Texts of the files of a new load-test project, by their paths."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from harness.cli.starter.origin import PLACEHOLDER, requirement
from harness.core.system import System
from harness.scenario.emulator import Emulator
from harness.scenario.schema import MODELS, schema_text
from harness.scenario.shipped import shipped_file, shipped_names

EMULATED, SERVICE = "emulated", "service"
GITIGNORE, README = Path(".gitignore"), Path("README.md")
REQUIREMENTS = Path("requirements.txt")
WORKFLOW = Path(".github/workflows/load-test.yml")
OPTIONAL = frozenset((GITIGNORE, README))
"""Files that are left as they are where they exist."""

NEW = (Path("locustfile.py"), REQUIREMENTS, WORKFLOW, Path("scenarios"))
"""Where all the others go; nothing may be there."""

_LIMIT_MS = 1000.0
"""Most latency of a fan-out, where clients need not wait to ask."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project to write.

    Attributes:
        files: The text of each file, by its path in the project's folder.
        target: The target to begin with: the emulated one, where the system has an emulator.
        variables: Environment variables that the service's target needs.
        is_installable: Whether its requirements say where the harness comes from.
    """

    files: Mapping[Path, str]
    target: str
    variables: tuple[str, ...]
    is_installable: bool


def new_project(system: System, place: str) -> Project:
    """Return a project for a system, in a folder seen from the top of its repository."""
    targets = {EMULATED: _emulated_target(system)} if system.emulator else {}
    targets[SERVICE] = _service_target(system)
    first, variables = next(iter(targets)), _variables(targets[SERVICE])
    origin = requirement()
    values = _latency_limit(longest_wait_s(system, targets.values())) | {
        "TARGETS": ", ".join(targets),
        "VALIDATED": " ".join(targets),
        "DEFAULT": first,
        "FOLDER": place,
        "BASELINE": f"{place}/baseline.tar.xz".removeprefix("./"),
        "ORIGIN": origin,
        "VARIABLES": _workflow_variables(variables),
        "SERVICE": how_to_load(variables),
    }
    scenarios = Path("scenarios")
    texts = {
        GITIGNORE: _template("gitignore"),
        README: _template("README.md.in", values),
        Path("locustfile.py"): _template("locustfile.py.in"),
        REQUIREMENTS: _template("requirements.txt.in", values),
        WORKFLOW: _template("load-test.yml.in", values),
        scenarios / "workloads" / "live.toml": _template("workload.toml.in", values),
        scenarios / "slos" / "live.toml": _template("slos.toml.in", values),
    }
    texts |= {scenarios / "targets" / f"{name}.toml": text for name, text in targets.items()}
    schemas = scenarios / "schemas"
    texts |= {schemas / f"{name}.schema.json": schema_text(name, system.name) for name in MODELS}
    return Project(texts, first, variables, is_installable=PLACEHOLDER not in origin)


def longest_wait_s(system: System, targets: Iterable[str]) -> float:
    """Return how long a message may wait until clients ask for it, by the slowest target file."""
    model = system.load("client_options")
    if model is None:
        return 0.0
    waits_s: list[float] = []
    for target in map(tomllib.loads, targets):
        emulator = None
        if target.get("emulated"):
            options = system.load("emulator_options") or Emulator
            emulator = options.model_validate(target.get("emulator", {}))
        client = model.model_validate(target.get("client", {}))
        waits_s.append(float(client.least_drain_s(emulator)))
    return max(waits_s)


def _latency_limit(wait_s: float) -> dict[str, str]:
    """Return the limit of the written SLOs, and a line that says why it is high."""
    limit_ms = max(_LIMIT_MS, 1000 * wait_s)
    why = f"# Clients ask at intervals; the answer with a message may be {wait_s:g} s away.\n"
    return {"LIMIT": f"{limit_ms:.1f}", "WHY": why if limit_ms > _LIMIT_MS else ""}


def how_to_load(variables: tuple[str, ...]) -> str:
    """Return how to load the service itself, as the end of a sentence."""
    run = f"`harness run live --target {SERVICE} --locustfile locustfile.py --i-own-this-target`"
    return f"set {', '.join(variables)}, then {run}." if variables else f"{run}."


def _emulated_target(system: System) -> str:
    file = shipped_file("targets", f"{system.name}-emulated")
    if file.is_file():
        return _renamed(file.read_text(encoding="utf-8"), EMULATED)
    return (
        "#:schema ../schemas/target.schema.json\n"
        f"# {system.title}, emulated on this machine.\n\n"
        f'name = "{EMULATED}"\nsystem = "{system.name}"\nemulated = true\n'
    )


def _service_target(system: System) -> str:
    """Return a target with variables in its addresses: the system's example, or a general one."""
    for name in shipped_names("targets"):
        text = shipped_file("targets", name).read_text(encoding="utf-8")
        of_system = f'\nsystem = "{system.name}"\n' in text
        if of_system and re.search(r'^http = ".*\$\{', text, re.MULTILINE):
            return _renamed(text, SERVICE)
    auth = f'mode = "{system.auth_modes[0]}"\n'
    if "api_key" in system.auth_modes:
        auth = 'mode = "api_key"\napi_key_env = "SERVICE_API_KEY"\n'
    return (
        "#:schema ../schemas/target.schema.json\n"
        f"# {system.title} of your own; the environment holds its host and its key.\n\n"
        f'name = "{SERVICE}"\nsystem = "{system.name}"\n\n'
        '[endpoints]\nhttp = "https://${SERVICE_HOST}"\n'
        f'realtime = "{system.realtime_schemes[0]}://${{SERVICE_HOST}}"\n\n'
        f"[auth]\n{auth}"
    )


def _renamed(text: str, name: str) -> str:
    return re.sub(r'^name = ".*"$', f'name = "{name}"', text, count=1, flags=re.MULTILINE)


def _variables(target: str) -> tuple[str, ...]:
    """Return the names of the environment variables that a target's text needs."""
    lines = (line for line in target.splitlines() if not line.startswith("#"))
    found = re.findall(r'\$\{(\w+)\}|_env = "(\w+)"', "\n".join(lines))
    return tuple(dict.fromkeys(name for pair in found for name in pair if name))


def _workflow_variables(variables: tuple[str, ...]) -> str:
    """Return lines that hand secrets of the repository to the run, for each variable one."""
    return "".join(f"      {name}: ${{{{ secrets.{name} }}}}\n" for name in variables)


def _template(name: str, values: Mapping[str, str] | None = None) -> str:
    """Return a file of this package, with each @NAME@ replaced by its value."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    for key, value in (values or {}).items():
        text = text.replace(f"@{key}@", value)
    return text
