"""Builds the wheel and does with it, in an empty folder, what the documentation promises.

``make wheel-test`` runs it: ``python -m tests.wheel.walk``.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

from harness.scenario.workload import Generator
from tests.support.waiting import PATIENCE_S
from tests.wheel.sandbox import Sandbox, WalkError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "own-repository.md"
MOST_MB = 600
"""What the base installation may take on the disk."""

SMALL = (
    "--set population.subscribers=20 --set population.chatters=5 --set phases.settle_s=0.5 "
    "--set phases.warm_up_s=0.5 --set phases.measure_s=3 --set phases.drain_s=1"
)
SCRIPT = "import harness; print(harness.read_record('reports/first').verdict)"
STUDY = """
name = "tiny"
title = "One system under one workload"
problem = "None."
baseline = "emulated"

[need]
connected = 30
chatters = 5
messages_per_day = 100
joins_per_s = 50.0

[[systems]]
name = "emulated"
label = "Emulated"
target = "appsync-events-emulated"

[[workloads]]
name = "live"
label = "Live"
workload = "../workloads/live.toml"

[[requirements]]
about = "connected"
need = "Everybody gets in"
workload = "live"
objectives = [{ metric = "joins.failed", op = "==", limit = 0 }]
"""


def main() -> None:
    """Walk from the source to runs that are judged; exit with 1 where a step fails."""
    with tempfile.TemporaryDirectory(prefix="harness-wheel-test-") as folder:
        sandbox = Sandbox(Path(folder).resolve())
        sandbox.work.mkdir()
        started = time.monotonic()
        try:
            _walk(sandbox)
        except WalkError as error:
            sys.exit(f"error: {error}")
    print(f"\nall {len(sandbox.seconds)} steps passed in {time.monotonic() - started:.0f} s")


def _walk(sandbox: Sandbox) -> None:
    _install(sandbox, _build(sandbox))
    project = _walk_page(sandbox)
    _more_commands(sandbox, project)
    _by_name(sandbox)
    _on_two_processes(sandbox, project)
    _refusals(sandbox, project)
    sandbox.require_nothing_left()


def _build(sandbox: Sandbox) -> Path:
    """Build sdist and wheel, and return the wheel; the sdist must build the same one."""
    started = time.monotonic()
    built, direct = sandbox.root / "dist", sandbox.root / "direct"
    python = [sys.executable, "-m"]
    for command in (
        [*python, "build", "--no-isolation", "--outdir", str(built)],
        [*python, "build", "--no-isolation", "--wheel", "--outdir", str(direct)],
        [*python, "twine", "check", "--strict", *(f"{built}/*{kind}" for kind in (".whl", ".gz"))],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise WalkError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    (wheel,), (same,) = built.glob("*.whl"), direct.glob("*.whl")
    if differing := _contents(wheel) ^ _contents(same):
        names = ", ".join(sorted({name for name, _ in differing})[:10])
        raise WalkError(f"the sdist builds another wheel, they differ in {names}")
    sandbox.note("build sdist and wheel, twine check", started)
    return wheel


def _contents(wheel: Path) -> set[tuple[str, int]]:
    with zipfile.ZipFile(wheel) as archive:
        return {(info.filename, info.CRC) for info in archive.infolist()}


def _install(sandbox: Sandbox, wheel: Path) -> None:
    """Install the wheel alone, in the environment of another git repository."""
    subprocess.run(["git", "init", "--quiet", sandbox.work], check=True)
    started = time.monotonic()
    venv.create(sandbox.venv, with_pip=True)
    sandbox.note("python -m venv .venv", started)
    sandbox.run(
        f"pip install --quiet --only-binary :all: -c {ROOT / 'constraints.txt'} {wheel}",
        HOME=str(Path.home()),  # Its own configuration says where packages are.
    )
    size_mb = sandbox.size_mb()
    print(f"          the environment takes {size_mb:.0f} MB, {MOST_MB} at most")
    if size_mb > MOST_MB:
        raise WalkError(f"the environment takes {size_mb:.0f} MB, {MOST_MB} at most")
    version = sandbox.run("harness --version", says="fanout-harness ")
    if "revision" in version:
        raise WalkError(f"{version.strip()} names a revision outside a checkout")


def _walk_page(sandbox: Sandbox) -> Path:
    """Run the commands of the page for teams, and return the folder of the project."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    install, write, *others = blocks
    if "pip install 'fanout-harness" not in install:
        raise WalkError(f"{PAGE}: the first block must be the installation")
    folder = sandbox.work
    for command in write.splitlines():
        if command.startswith("cd "):
            folder /= command.removeprefix("cd ")
        else:
            sandbox.run(command, folder=folder)
    _make_short_and_lenient(folder)
    _require_to_be_completed(folder / "requirements.txt", sandbox)
    for command in "".join(others).splitlines():
        sandbox.run(command, folder=folder)
    return folder


def _require_to_be_completed(requirements: Path, sandbox: Sandbox) -> None:
    """See that a wheel's path is not pinned, and that pip says which line is to be completed."""
    if str(sandbox.root) in requirements.read_text("utf-8"):
        raise WalkError(f"{requirements} names a path of this machine")
    says = "fanout-harness @ git+ADDRESS@REVISION"
    # With one's own home, as above: pip looks for other programs, which may write there.
    sandbox.run(f"pip install -r {requirements}", expected=1, says=says, HOME=str(Path.home()))


def _make_short_and_lenient(project: Path) -> None:
    """Change the files as their owner may: short runs, and limits that a busy machine keeps."""
    limits = "".join(
        f"{name} = {1.0 if name.endswith('_ratio') else 60_000.0}\n"
        for name in Generator.model_fields
    )
    for kind in ("workloads", "slos"):
        file = project / "scenarios" / kind / "live.toml"
        text = file.read_text("utf-8").replace("limit = 1000.0", "limit = 60000.0")
        text = text.replace("measure_s = 8.0", "measure_s = 3.0")
        if kind == "workloads":
            text += f"\n[generator]\n{limits}"
        file.write_text(text, encoding="utf-8")


def _more_commands(sandbox: Sandbox, project: Path) -> None:
    """Use what the page does not need."""
    (project / "scenarios" / "studies").mkdir()
    (project / "scenarios" / "studies" / "tiny.toml").write_text(STUDY, encoding="utf-8")
    for command, says in {
        "harness report reports/first": "report: reports/first/report.html",
        "harness report --history reports": "history",
        "harness cost reports/first --html reports/cost.html": "page: reports/cost.html",
        "harness cost --workload live": "",
        "harness plan reports/first --users 100000": "100,000 users",
        f'python -c "{SCRIPT}"': "pass",
        "harness validate tiny": "study tiny, 1 systems and 1 workloads",
        "harness study tiny --out reports/study": "report: reports/study/report.html",
        "harness sweep live --target emulated --along subscribers --from 50 --to 50 "
        "--locustfile locustfile.py --out reports/sweep": "capacity: at least 50",
    }.items():
        sandbox.run(command, says=says, folder=project)
    _emulate(sandbox, project)


def _emulate(sandbox: Sandbox, project: Path) -> None:
    """Start an emulator by name, and end it as Ctrl-C does."""
    started, command = time.monotonic(), "harness emulate emulated"
    with sandbox.start(f"{sandbox.venv}/bin/{command}", project) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    if process.returncode or "serves in 1 process" not in first:
        raise WalkError(f"{command}: exit code {process.returncode}\n{first}{rest}")
    sandbox.note(command, started)


def _by_name(sandbox: Sandbox) -> None:
    """Run what comes with the wheel, from a folder that holds nothing of it."""
    elsewhere = sandbox.work / "elsewhere"
    elsewhere.mkdir()
    lenient = " ".join(
        f"--set generator.{name}={1.0 if name.endswith('_ratio') else 60_000.0}"
        for name in Generator.model_fields
    )
    slow = "--set slos.1.limit=60000 --set slos.4.limit=60000"
    run = f"harness run quickstart --out named {SMALL} {lenient} {slow}"
    for command, says, expected in (
        ("harness examples", "quickstart", 0),
        ("harness validate quickstart appsync-events-aws sse-vs-appsync live-chat", "SLOs", 0),
        ("harness doctor quickstart --target polling-emulated", "workers: 1", 0),
        (run, "report: named/report.html", 0),
        ("harness check named --slo life-chat", "did you mean live-chat?", 2),
        ("harness study sse-vs-appsync --report-only --out study", "not run yet", 4),
    ):
        target = "server-sent-events-emulated"
        sandbox.run(command, says=says, expected=expected, folder=elsewhere, HARNESS_TARGET=target)


def _on_two_processes(sandbox: Sandbox, project: Path) -> None:
    """Run a master and a worker as on two machines; both must end well."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = f"{sandbox.venv}/bin/harness worker --master-host 127.0.0.1 --master-port {port}"
    command += " --locustfile locustfile.py"
    secret = "a long text that both machines have"
    with sandbox.start(command, project, HARNESS_RUN_SECRET=secret) as worker:
        try:
            sandbox.run(
                "harness run live --target emulated --locustfile locustfile.py --master "
                f"--expect-workers 1 --bind-host 127.0.0.1 --bind-port {port} --out reports/two",
                says="report: reports/two/report.html",
                folder=project,
                HARNESS_RUN_SECRET=secret,
            )
            said, _ = worker.communicate(timeout=PATIENCE_S)
        finally:
            worker.kill()
    if worker.returncode:
        raise WalkError(f"{command}: exit code {worker.returncode}\n{said}")


def _refusals(sandbox: Sandbox, project: Path) -> None:
    """See that mistakes are one sentence and exit code 2, and leave nothing behind."""
    before = sorted(project.rglob("*"))
    for command, says in {
        "harness init .": "init overwrites nothing",
        "harness init new --system pigeon-post": "is not installed, must be one of ",
        "harness run lives --target emulated --out reports/none": "did you mean live?",
        "harness run live --target emulatd --out reports/none": "did you mean emulated?",
        "harness run live --target emulated --locustfile none.py --out reports/none": "none.py",
        "harness run live --target service --out reports/none": "APPSYNC_HTTP_HOST",
        "locust -f locustfile.py --headless --workload live --target emulatd": "did you mean",
    }.items():
        sandbox.run(command, expected=2, says=says, folder=project)
    if added := {*sorted(project.rglob("*"))} - {*before}:
        raise WalkError(f"refusals left {sorted(map(str, added))} behind")


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # As nohup and & leave it to children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
