"""Where the other tools come from: the machine, or a cache that is filled from the registries.

Nothing is installed on the system: Python packages, npm packages and Debian packages are
unpacked below the cache, which is shared by all checkouts. A tool that cannot be had is not an
error; its rows say that it is missing, and why.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
WITHOUT_TLS = "built without OpenSSL"
NGINX, NGINX_MODULE = "usr/sbin/nginx", "usr/lib/nginx/modules/ngx_nchan_module.so"

Fill = Callable[[Path], None]
Fetch = Callable[[float], Path]


class Debian(NamedTuple):
    """A tool from Debian.

    Attributes:
        name: Of its folder in the cache.
        packages: What to unpack; only what it needs to run here.
        files: What is there where the system has it installed.
    """

    name: str
    packages: tuple[str, ...]
    files: tuple[str, ...]


NCHAN = Debian("nchan", ("nginx", "nginx-common", "libnginx-mod-nchan"), (NGINX, NGINX_MODULE))
TSUNG = Debian(
    "tsung",
    (
        "tsung",
        "erlang-base",
        *(f"erlang-{part}" for part in ("asn1", "crypto", "os-mon", "public-key", "ssl", "xmerl")),
    ),
    ("usr/bin/tsung", "usr/bin/erl"),
)
_apt = Lock()


class MissingError(Exception):
    """A tool that is not there and could not be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Each tool, or a sentence that says why it is missing.

    Attributes:
        floor: The C receiver.
        floor_speaks_tls: Whether it was built with OpenSSL.
        k6: The program.
        artillery: Artillery's command-line script.
        websocket_client: Folder to put on the Python path.
        nchan: nginx and nchan's module.
        tsung: Folder below which Tsung and Erlang are unpacked, as Debian lays them out.
    """

    floor: Path | str
    floor_speaks_tls: bool
    k6: Path | str
    artillery: Path | str
    websocket_client: Path | str
    nchan: tuple[Path, Path] | str
    tsung: Path | str

    @property
    def reasons(self) -> frozenset[str]:
        """Why tools are missing, each reason as it stands in a row; none where all are there."""
        values = (getattr(self, one.name) for one in fields(self))
        without_tls = () if self.floor_speaks_tls else (WITHOUT_TLS,)
        return frozenset((*(value for value in values if isinstance(value, str)), *without_tls))


def cache_folder() -> Path:
    """Return where fetched tools are kept, below the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "fanout-harness" / "benchmarks"


def find_tools(folder: Path, within_s: float) -> Tools:
    """Find, build or fetch every tool.

    Args:
        folder: For what is built.
        within_s: How long fetching may take in all.
    """
    deadline = time.monotonic() + within_s
    with ThreadPoolExecutor() as pool:
        npm = pool.submit(_or_reason, _fetch_npm, deadline)
        python = pool.submit(_or_reason, _fetch_python, deadline)
        nchan = pool.submit(_or_reason, partial(_find_debian, NCHAN), deadline)
        tsung = pool.submit(_or_reason, partial(_find_debian, TSUNG), deadline)
        floor, speaks_tls = _build_floor(folder)
        python_folder, npm_folder = python.result(), npm.result()
    found_k6 = shutil.which("k6")
    return Tools(
        floor=floor,
        floor_speaks_tls=speaks_tls,
        k6=Path(found_k6) if found_k6 else _below(python_folder, "bin/k6"),
        artillery=_below(npm_folder, "node_modules/artillery/bin/run"),
        websocket_client=python_folder,
        nchan=_nchan_parts(nchan.result()),
        tsung=tsung.result(),
    )


def _or_reason(fetch: Fetch, deadline: float) -> Path | str:
    try:
        return fetch(deadline)
    except MissingError as reason:
        return str(reason)


def _below(folder: Path | str, place: str) -> Path | str:
    return folder / place if isinstance(folder, Path) else folder


def _nchan_parts(root: Path | str) -> tuple[Path, Path] | str:
    if isinstance(root, str):
        return root
    return root / NGINX, root / NGINX_MODULE


def _build_floor(folder: Path) -> tuple[Path | str, bool]:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return "no C compiler (gcc or cc) is installed", False
    program = folder / "floor"
    command = [compiler, "-O2", "-o", str(program), str(HERE / "floor.c")]
    for extra, speaks_tls in ((["-DWITH_TLS", "-lssl", "-lcrypto"], True), ([], False)):
        done = subprocess.run([*command, *extra], capture_output=True, check=False)
        if done.returncode == 0:
            return program, speaks_tls
    return f"floor.c does not build with {compiler}", False


def _fetch_python(deadline: float) -> Path:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    pip += ["--disable-pip-version-check", "--requirement", str(HERE / "peers/requirements.txt")]

    def fill(folder: Path) -> None:
        _run([*pip, "--target", str(folder)], folder, deadline)

    return _cached("python", (HERE / "peers/requirements.txt").read_bytes(), fill)


def _fetch_npm(deadline: float) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingError("npm is not installed")

    def fill(folder: Path) -> None:
        shutil.copy(HERE / "peers/package.json", folder)
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--omit=peer"]
        _run([npm, "install", *flags], folder, deadline)

    return _cached("npm", (HERE / "peers/package.json").read_bytes(), fill)


def _find_debian(tool: Debian, deadline: float) -> Path:
    if all(("/" / Path(file)).exists() for file in tool.files):
        return Path("/")
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise MissingError(f"{tool.name} is not installed, nor apt-get to fetch it with")
    download = [apt, "download", "-qq", "-o", "APT::Sandbox::User=root", *tool.packages]

    def fill(folder: Path) -> None:
        with _apt:  # Two at once would wait for each other's lock, and give up.
            try:
                _run(download, folder, deadline)
            except MissingError:
                # The lists of packages may be empty, as on a fresh image.
                _run([apt, "update", "-qq"], folder, deadline)
                _run(download, folder, deadline)
        for package in folder.glob("*.deb"):
            _run([dpkg, "-x", str(package), str(folder)], folder, deadline)
            package.unlink()

    return _cached(tool.name, " ".join(tool.packages).encode(), fill)


def _cached(name: str, version: bytes, fill: Fill) -> Path:
    """Return the cache's folder ``name``, filled anew where it was filled for another version."""
    folder = cache_folder() / name
    stamp = folder / ".version"
    if stamp.exists() and stamp.read_bytes() == version:
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{name}-") as place:
            fresh = Path(place) / name
            fresh.mkdir()
            fill(fresh)
            (fresh / ".version").write_bytes(version)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    except OSError as error:
        raise MissingError(f"{folder.parent} cannot be written: {error.strerror}") from None
    return folder


def _run(command: Sequence[str], folder: Path, deadline: float) -> None:
    name = Path(command[0]).name
    try:
        subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=max(deadline - time.monotonic(), 0.1),
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise MissingError(f"{name} did not fetch it in time") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise MissingError(f"{name} failed: {lines[-1][:120] if lines else 'no output'}") from None
