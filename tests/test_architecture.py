import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.core.distribution import DISTRIBUTION
from harness.core.system import registrations
from tests.support.paths import ROOT
from tests.support.programs import finished_python

ALLOWED = {
    "core": set(),
    "settings": {"core"},
    "scenario": {"core", "settings"},
    "system": {"core"},
    "options": {"core", "settings", "system"},
    "net": {"core"},
    "measure": {"core"},
    "emulation": {"core", "settings"},
    "wire": {"core", "system"},
    "client": {"core", "net", "system", "wire"},
    "emulator": {"core", "settings", "system", "options", "emulation", "wire"},
    "economics": {"core", "system", "wire"},
    "live": {"core", "settings", "scenario", "measure"},
    "load": {"core", "settings", "scenario", "net", "measure", "live"},
    "analysis": {"core", "settings", "scenario", "measure"},
    "report": {"core", "measure", "analysis"},
}
"""Layer -> layers it may import besides itself. ``cli`` is on top and may import all of them.

Of a system's package, ``client``, ``emulator``, ``options`` and ``economics`` are layers of their
own (also when split: ``client/http.py``), the package itself is ``system``, which names the parts,
and every other module is I/O-free and belongs to ``wire``. The parts are loaded by reference, so
nothing outside of a system's package imports it.
"""

SETTINGS = {"auth", "client_options", "emulator", "faults", "model"}
"""The modules of ``harness.scenario`` that are the layer ``settings``: what emulators and clients
are told."""

FRAMES = {"pandas", "matplotlib"}
GREEN = {"gevent", "locust", "geventhttpclient"}
ASYNC = {"asyncio", "aiohttp", "uvloop"}

UNREACHABLE = {
    "net": FRAMES | ASYNC,
    "measure": FRAMES | ASYNC,
    "client": FRAMES | ASYNC,
    "live": FRAMES | ASYNC,
    "load": FRAMES | ASYNC,
    "locustfile": FRAMES | ASYNC,
    "emulation": FRAMES | GREEN,
    "emulator": FRAMES | GREEN,
    "wire": FRAMES | GREEN | ASYNC | {"socket", "ssl"},
    "core": FRAMES | GREEN | ASYNC,
    "settings": FRAMES | GREEN | ASYNC,
    "scenario": FRAMES | GREEN | ASYNC,
    "options": FRAMES | GREEN | ASYNC,
}
"""Layer -> packages that none of its modules may load, not even through another module of ours."""

ELSEWHERE = {
    found.reference.partition(":")[0]
    for found in registrations()
    if found.distribution != DISTRIBUTION
}
"""The packages of installed systems that are not ours: they keep the same rules."""

JOINS = {"hybrid": {"appsync_events", "polling"}}
"""Systems made of others -> those they may import: nothing of theirs is done twice."""

FORBIDDEN_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60


@dataclass(frozen=True)
class Module:
    """One parsed module: its name, its file and the names it imports, eagerly and lazily."""

    name: str
    file: Path
    tree: ast.Module
    eager: frozenset[str] = field(default_factory=frozenset)
    lazy: frozenset[str] = field(default_factory=frozenset)

    @property
    def layer(self) -> str:
        return layer_of(self.name)

    @property
    def is_package(self) -> bool:
        return self.file.name == "__init__.py"


def layer_of(name: str) -> str:
    """Return the layer of a dotted module name; "top" where it is outside every layer."""
    parts = name.split(".")
    if of_system(parts):
        return part_of(of_system(parts))
    if parts[0] == "locustfiles":
        return "locustfile"
    if parts[0] != "harness" or parts[1:] in ([], ["systems"]):
        return "top"
    if parts[1] in {"__main__", "pytest_plugin"}:
        return "cli"
    if parts[1] == "scenario" and len(parts) > 2 and parts[2] in SETTINGS:
        return "settings"
    return parts[1]


def of_system(parts: list[str]) -> list[str]:
    """Return a module's name from its system's package on; empty where it is of no system."""
    if parts[:2] == ["harness", "systems"]:
        return parts[2:]
    return parts if parts[0] in ELSEWHERE else []


def part_of(parts: list[str]) -> str:
    """Return the layer of a module of a system, given its name from the system's package on."""
    if len(parts) == 1:
        return "system"
    role = {"auth": "options", "handlers": "emulator"}.get(parts[1], parts[1].split("_")[0])
    return role if role in {"client", "emulator", "options", "economics"} else "wire"


def imported_names(node: ast.AST, module: str, *, is_package: bool) -> set[str]:
    """Return the dotted names that an import statement loads; ``from a import b`` gives ``a.b``."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    base = node.module or ""
    if node.level:
        package = module.split(".") if is_package else module.split(".")[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
    return {f"{base}.{alias.name}" for alias in node.names}


def is_type_checking(node: ast.AST) -> bool:
    """Say whether a node is ``if TYPE_CHECKING:``, whose imports never run."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk_imports(node: ast.AST, *, lazy: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield each node with whether it runs only when a function is called."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, inside
        yield from walk_imports(child, lazy=inside)


def read_module(root: Path, file: Path) -> Module:
    """Parse one file of the tree under ``root``."""
    parts = list(file.relative_to(root).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: dict[bool, set[str]] = {False: set(), True: set()}
    for node, lazy in walk_imports(tree):
        found[lazy] |= imported_names(node, name, is_package=is_package)
    return Module(name, file, tree, frozenset(found[False]), frozenset(found[True]))


def read_tree(root: Path) -> dict[str, Module]:
    """Parse everything under ``harness`` and ``locustfiles``, by dotted name."""
    files = [*root.glob("harness/**/*.py"), *root.glob("locustfiles/**/*.py")]
    return {module.name: module for module in (read_module(root, file) for file in sorted(files))}


def read_elsewhere() -> dict[str, Module]:
    """Parse the packages of the installed systems that are not ours, by dotted name."""
    found: dict[str, Module] = {}
    for package in ELSEWHERE:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            root = Path(folder).parent
            modules = (read_module(root, file) for file in sorted(Path(folder).rglob("*.py")))
            found |= {module.name: module for module in modules}
    return found


def our_modules(name: str, modules: dict[str, Module]) -> list[str]:
    """Return what importing ``name`` runs of ours: the module and the packages around it."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return [prefix for prefix in prefixes if prefix in modules]


def system_of(name: str) -> str:
    """Return the system's package that a module lives in, or ""."""
    return "".join(of_system(name.split("."))[:1])


def arrow_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield each import that points up, sideways or into another system."""
    for module in modules.values():
        if module.layer in {"cli", "top", "locustfile"}:
            continue
        for name in sorted(module.eager | module.lazy):
            for target in our_modules(name, modules)[-1:]:
                layer = layer_of(target)
                allowed = ALLOWED.get(module.layer, set()) | {module.layer, "top"}
                if layer not in allowed:
                    rule = f"{module.layer} must not import {layer}"
                    yield f"{module.name} imports {target}, but {rule}"
                own, other = system_of(module.name), system_of(target)
                if own and other and own != other and other not in JOINS.get(own, set()):
                    yield f"{module.name} imports {target}, but systems must not know each other"


def reach(start: str, modules: dict[str, Module]) -> dict[str, str]:
    """Return each name reachable from a module, lazily too, with the module that imports it."""
    reached: dict[str, str] = {}
    waiting, seen = [start], {start}
    while waiting:
        module = modules[waiting.pop()]
        for name in module.eager | module.lazy:
            reached.setdefault(name, module.name)
            new = [ours for ours in our_modules(name, modules) if ours not in seen]
            seen.update(new)
            waiting.extend(new)
    return reached


def reach_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield each third-party package that a layer can load and must not."""
    for module in modules.values():
        banned = UNREACHABLE.get(module.layer, set())
        for name, importer in sorted(reach(module.name, modules).items()):
            if name.split(".")[0] in banned:
                yield f"{module.name} must not load {name}, which {importer} imports"


def frame_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield each use of pandas or matplotlib outside analysis and report, or at the CLI's start."""
    for module in modules.values():
        if module.layer in {"analysis", "report"}:
            continue
        if module.layer == "cli":
            heavy = {n for n in module.eager if n.split(".")[0] in FRAMES}
            heavy |= {n for n in module.eager if layer_of(n) in {"analysis", "report", "load"}}
        else:
            heavy = {n for n in module.eager | module.lazy if n.split(".")[0] in FRAMES}
        for name in sorted(heavy):
            yield f"{module.name} must not import {name} at its top"


def size_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield modules and functions that are too long, and names that say nothing."""
    for module in modules.values():
        lines = len(module.file.read_text(encoding="utf-8").splitlines())
        if lines > MODULE_LINES_MAX:
            yield f"{module.name} has {lines} lines, {MODULE_LINES_MAX} at most"
        if FORBIDDEN_WORDS & set(module.name.split(".")[-1].split("_")):
            yield f"{module.name} has a name that does not say what is in it"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    where = f"{module.name}.{node.name}"
                    yield f"{where} has {length} lines, {FUNCTION_LINES_MAX} at most"


def circle_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield the modules that import each other, if any do: in functions and for types alone too."""
    arrows = {
        module.name: {
            target
            for node in ast.walk(module.tree)
            for name in imported_names(node, module.name, is_package=module.is_package)
            for target in our_modules(name, modules)[-1:]
        }
        for module in modules.values()
    }
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        yield "circle of imports: " + " <- ".join(error.args[1])


def layer_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield modules of a package that the house does not have."""
    known = {*ALLOWED, "cli", "top", "locustfile"}
    for module in modules.values():
        if module.layer not in known:
            yield f"{module.name} is in no known package"


def cut_problems(modules: dict[str, Module]) -> Iterator[str]:
    """Yield each text from outside that is cut before its secrets are replaced."""
    for module in modules.values():
        if module.layer not in {"net", "client", "wire", "load", "measure", "live"}:
            continue
        for node in ast.walk(module.tree):
            shown = isinstance(node, ast.FormattedValue)
            if not (shown or (isinstance(node, ast.Attribute) and node.attr == "decode")):
                continue
            match node.value:
                case ast.Subscript(slice=ast.Slice(lower=None, upper=ast.expr())) as cut:
                    where = f"{module.name}, line {cut.lineno}"
                    yield f"{where}: outside_text or excerpt must cut {ast.unparse(cut)}"


def problems(root: Path) -> list[str]:
    """Return every breach of the house rules in the tree under ``root``."""
    modules = read_tree(root) | read_elsewhere()
    checks = (
        layer_problems,
        arrow_problems,
        circle_problems,
        reach_problems,
        frame_problems,
        size_problems,
        cut_problems,
    )
    return [problem for check in checks for problem in check(modules)]


def plant(root: Path, files: dict[str, str]) -> None:
    """Write a small tree of modules, with the packages around them."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.parents:
            if folder == root:
                break
            (folder / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")


def test_the_tree_keeps_the_house_rules() -> None:
    """No import points up, nothing heavy loads where it must not, nothing is too long."""
    assert [] == problems(ROOT)


def test_the_check_reads_the_whole_tree() -> None:
    """The check sees each Python file of the package, so an empty result means something."""
    assert set(ROOT.glob("harness/**/*.py")) <= {module.file for module in read_tree(ROOT).values()}
    assert "harness.core.errors" in read_tree(ROOT)
    assert {module.partition(".")[0] for module in read_elsewhere()} == ELSEWHERE


SYSTEM = "harness/systems/toy"


def refused(importer: str, imported: str, rule: str) -> str:
    """Return the sentence on an import inside the package that is against a rule."""
    return f"harness.{importer} imports harness.{imported}, but {rule}"


PLANTED = [
    (
        {"harness/core/a.py": "import harness.scenario.b", "harness/scenario/b.py": ""},
        refused("core.a", "scenario.b", "core must not import scenario"),
    ),
    (
        {
            "harness/net/a.py": "def f():\n    from harness.measure import b",
            "harness/measure/b.py": "",
        },
        refused("net.a", "measure.b", "net must not import measure"),
    ),
    (
        {"harness/core/a.py": "from ..load import b", "harness/load/b.py": ""},
        refused("core.a", "load.b", "core must not import load"),
    ),
    (
        {
            f"{SYSTEM}/client.py": "from harness.systems.toy import emulator",
            f"{SYSTEM}/emulator.py": "",
        },
        refused("systems.toy.client", "systems.toy.emulator", "client must not import emulator"),
    ),
    (
        {f"{SYSTEM}/emulator.py": "from .client import x", f"{SYSTEM}/client.py": "x = 1"},
        refused("systems.toy.emulator", "systems.toy.client", "emulator must not import client"),
    ),
    (
        {
            f"{SYSTEM}/client.py": "import harness.systems.other.wire",
            "harness/systems/other/wire.py": "",
        },
        refused("systems.toy.client", "systems.other.wire", "systems must not know each other"),
    ),
    (
        {
            f"{SYSTEM}/emulator.py": "import harness.emulation.a",
            "harness/emulation/a.py": "import gevent",
        },
        "harness.systems.toy.emulator must not load gevent, which harness.emulation.a imports",
    ),
    (
        {
            "harness/emulation/a.py": "import harness.scenario.target",
            "harness/scenario/target.py": "",
        },
        refused("emulation.a", "scenario.target", "emulation must not import scenario"),
    ),
    (
        {"harness/scenario/a.py": "import harness.systems.toy.options", f"{SYSTEM}/options.py": ""},
        refused("scenario.a", "systems.toy.options", "scenario must not import options"),
    ),
    (
        {"harness/measure/a.py": "def f():\n    import asyncio"},
        "harness.measure.a must not load asyncio, which harness.measure.a imports",
    ),
    (
        {
            "locustfiles/toy.py": "from harness.load.a import x",
            "harness/load/a.py": "import pandas as pd",
        },
        "locustfiles.toy must not load pandas, which harness.load.a imports",
    ),
    (
        {f"{SYSTEM}/frames.py": "import socket"},
        "harness.systems.toy.frames must not load socket, which harness.systems.toy.frames imports",
    ),
    ({"harness/cli/a.py": "import pandas"}, "harness.cli.a must not import pandas at its top"),
    (
        {"harness/cli/a.py": "from harness.report.b import c", "harness/report/b.py": "c = 1"},
        "harness.cli.a must not import harness.report.b.c at its top",
    ),
    (
        {"harness/core/a.py": "import harness.core.b", "harness/core/b.py": "from . import a"},
        "circle of imports: harness.core.a <- harness.core.b <- harness.core.a",
    ),
    (
        {
            "harness/cli/a.py": "def f():\n    from harness.cli.b import c",
            "harness/cli/b.py": "import harness.cli.a",
        },
        "circle of imports: harness.cli.a <- harness.cli.b <- harness.cli.a",
    ),
    (
        {
            "harness/load/a.py": (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import harness.load.b"
            ),
            "harness/load/b.py": "import harness.load.a",
        },
        "circle of imports: harness.load.a <- harness.load.b <- harness.load.a",
    ),
    ({"harness/core/a.py": "x = 1\n" * 401}, "harness.core.a has 401 lines, 400 at most"),
    (
        {"harness/core/a.py": "def f():\n" + "    x = 1\n" * 60},
        "harness.core.a.f has 61 lines, 60 at most",
    ),
    (
        {"harness/core/string_utils.py": ""},
        "harness.core.string_utils has a name that does not say what is in it",
    ),
    (
        {"harness/net/a.py": "def f(body):\n    return body[:9].decode()"},
        "harness.net.a, line 2: outside_text or excerpt must cut body[:9]",
    ),
    (
        {"harness/net/a.py": "def f(line):\n    return f'a bad {line[:9]!r}'"},
        "harness.net.a, line 2: outside_text or excerpt must cut line[:9]",
    ),
    ({"harness/plumbing/a.py": ""}, "harness.plumbing.a is in no known package"),
]


@pytest.mark.parametrize(("files", "expected"), PLANTED, ids=[text for _, text in PLANTED])
def test_planted_breach_is_caught(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    """Each kind of breach is found where it is planted and named in words."""
    plant(tmp_path, files)
    assert expected in problems(tmp_path)


HONEST = {
    "harness/core/a.py": "import json",
    "harness/cli/a.py": "def f():\n    import pandas\n    from harness.report import b",
    "harness/report/b.py": "import matplotlib",
    "harness/load/c.py": (
        "import gevent\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio"
    ),
    f"{SYSTEM}/wire.py": "from harness.core import a",
    f"{SYSTEM}/client.py": "import socket\nfrom harness.systems.toy import wire",
    f"{SYSTEM}/emulator.py": "import asyncio\nfrom .wire import x\nfrom .options import y",
    f"{SYSTEM}/options.py": "from harness.scenario import emulator",
    "harness/scenario/emulator.py": "",
}


def test_honest_tree_has_no_problems(tmp_path: Path) -> None:
    """Imports that point down, lazy pandas in the CLI and typing-only imports are all right."""
    plant(tmp_path, HONEST)
    assert [] == problems(tmp_path)


def loaded_by(statement: str, *, candidates: set[str]) -> set[str]:
    """Run a statement in a fresh interpreter and return which candidates it loaded."""
    program = f"import sys\n{statement}\nprint(*sorted({candidates!r} & set(sys.modules)))"
    done = finished_python("-c", program, cwd=ROOT)
    assert 0 == done.returncode, done.stderr
    return set(done.stdout.split())


def test_importing_the_emulator_loads_no_gevent() -> None:
    """An emulator process never holds gevent, Locust, pandas or matplotlib."""
    statement = (
        "from harness.core.system import installed_systems\n"
        "for system in installed_systems().values():\n"
        "    system.load('emulator')"
    )
    assert set() == loaded_by(statement, candidates=GREEN | FRAMES)


def test_importing_load_with_all_clients_and_a_locustfile_loads_no_pandas() -> None:
    """A worker never holds pandas, matplotlib or an asyncio server."""
    statement = (
        "import locust\n"
        "import importlib, pkgutil, harness.load\n"
        "for module in pkgutil.walk_packages(harness.load.__path__, 'harness.load.'):\n"
        "    importlib.import_module(module.name)\n"
        "from harness.core.system import installed_systems\n"
        "for system in installed_systems().values():\n"
        "    system.load('client')\n"
        "import runpy\n"
        "runpy.run_path('locustfiles/any_system.py', run_name='locustfile')"
    )
    assert set() == loaded_by(statement, candidates=FRAMES | {"aiohttp", "uvloop"})


def test_help_loads_nothing_heavy() -> None:
    """The command's module loads neither frames nor Locust, so that help comes at once."""
    heavy = FRAMES | GREEN | {"aiohttp", "numpy", "pydantic"}
    assert set() == loaded_by("import harness.cli.app", candidates=heavy)


def test_processes_of_ours_are_started_in_one_way() -> None:
    """Any other would import packages from whatever folder the user is in."""
    files = [
        file for file in (ROOT / "harness").rglob("*.py") if "sys.executable" in file.read_text()
    ]
    assert ["child_python.py"] == [file.name for file in files]
