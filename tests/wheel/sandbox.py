"""A folder outside the repository with an environment of its own, and what is run in it."""

import os
import shlex
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 600
HOME_CACHES = ("matplotlib", "fontconfig", "pip")
"""What libraries keep in ~/.cache: no file of the harness."""


class WalkError(Exception):
    """A step did not do what is documented."""


@dataclass
class Sandbox:
    """An empty world: a home, a folder for temporary files, and an environment for one wheel."""

    root: Path
    marker: str = field(default_factory=lambda: f"WHEEL_TEST_{uuid.uuid4().hex}")
    seconds: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for folder in (self.home, self.temporary):
            folder.mkdir(parents=True)

    @property
    def home(self) -> Path:
        """The user's home, empty at first."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """Where temporary files go; empty again at the end."""
        return self.root / "tmp"

    @property
    def venv(self) -> Path:
        """The environment that the wheel is installed in."""
        return self.root / "work" / ".venv"

    @property
    def work(self) -> Path:
        """The team's own repository."""
        return self.root / "work"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables of a user who has activated the environment."""
        kept = {key: os.environ[key] for key in ("LANG", "USER", "PATH") if key in os.environ}
        kept |= {key: text for key, text in os.environ.items() if key.startswith("PIP_")}
        own = {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "VIRTUAL_ENV": str(self.venv),
            "PATH": f"{self.venv / 'bin'}:{kept.get('PATH', '')}",
            self.marker: "1",
        }
        return kept | own | more

    def run(
        self,
        command: str,
        *,
        expected: int = 0,
        says: str = "",
        folder: Path | None = None,
        **variables: str,
    ) -> str:
        """Run a command line as a user would, and return what it printed.

        The folder is the team's own repository where it is not given; ``says`` must be among what
        the command prints.

        Raises:
            WalkError: If it ends otherwise, or prints a traceback.
        """
        started = time.monotonic()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder or self.work,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        self.note(command, started)
        printed = done.stdout + done.stderr
        if done.returncode != expected or says not in printed or "Traceback (most" in printed:
            wanted = f"exit code {expected}" + (f" and {says!r}" if says else "")
            raise WalkError(f"{command}: exit code {done.returncode}, required {wanted}\n{printed}")
        return printed

    def start(self, command: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
        """Start a command that goes on until it is told to stop."""
        return subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def note(self, name: str, started: float) -> None:
        """Keep how long a step took, and show that it is done."""
        taken = time.monotonic() - started
        self.seconds.append((name, taken))
        print(f"{taken:6.1f} s  {' '.join(name.split())[:110]}", flush=True)

    def size_mb(self) -> float:
        """Return how much the environment takes on the disk, in MB."""
        files = (file for file in self.venv.rglob("*") if not file.is_symlink())
        return sum(file.stat().st_size for file in files if file.is_file()) / 1e6

    def require_nothing_left(self) -> None:
        """Raise if anything was written outside the folder, or a process still runs."""
        cache = self.home / ".cache"
        ours = [
            str(file.relative_to(self.root))
            for top in (self.home, self.temporary)
            for file in top.rglob("*")
            if file.is_file() and not any(file.is_relative_to(cache / each) for each in HOME_CACHES)
        ]
        if ours:
            raise WalkError(f"files written outside the folder: {', '.join(sorted(ours)[:10])}")
        if left := self._processes():
            raise WalkError(f"processes left behind: {left}")

    def _processes(self) -> list[str]:
        found = []
        for each in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.marker.encode() in each.read_bytes():
                    found.append(each.parent.name)
            except OSError:
                continue  # It has ended, or belongs to another user.
        return found
