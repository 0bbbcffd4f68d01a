"""``harness.run`` and ``harness.load_plan``: the verb ``run`` for scripts and notebooks.

The run is ``harness run`` itself, in a child process: nothing of gevent, and none of the signal
handlers of the verb, comes into the caller's process, and it may be called from any thread.
"""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from harness.cli.out_folder import is_there
from harness.cli.run import default_folder
from harness.core.child_errors import ERROR_FILE_VARIABLE, ChildError, read_error
from harness.core.child_python import python_command
from harness.core.errors import HarnessError, ScenarioError, ScenarioProblem, TargetUnreachableError
from harness.core.exit_codes import ExitCode
from harness.measure.record import RUN_FILE

if TYPE_CHECKING:
    from harness.analysis.public import RunRecord
    from harness.scenario.plan import Plan

Overrides = Mapping[str, Any] | Sequence[str]
"""Key of a scenario to its value, or ``key=value`` as ``--set`` takes it."""

_MEASURED = {ExitCode.PASS, ExitCode.SLO_FAILED, ExitCode.RUN_INVALID, ExitCode.INTERRUPTED}
"""How a run may end that has a record to return."""


def load_plan(workload: str | Path, target: str | Path, *, overrides: Overrides = ()) -> "Plan":
    """Return what a workload and a target come to, without running anything.

    Args:
        workload: File or name of the workload.
        target: File or name of the target.
        overrides: As ``--set``; keys of the target begin with "target.".

    Raises:
        ScenarioError: With everything that is wrong with them.
    """
    from harness.scenario.loading import load_plan as load
    from harness.scenario.shipped import scenario_file

    files = scenario_file("workloads", str(workload)), scenario_file("targets", str(target))
    return load(*files, overrides=_assignments(overrides))


def run(
    workload: str | Path,
    target: str | Path,
    *,
    overrides: Overrides = (),
    out: str | Path | None = None,
    workers: int | None = None,
    label: str | None = None,
    tags: Mapping[str, str] | None = None,
    locustfile: str | Path | None = None,
    force: bool = False,
    owned: bool = False,
    max_usd: float | None = None,
) -> "RunRecord":
    """Run a workload against a target as ``harness run`` does, and return its record.

    A run that misses an objective or is invalid is returned too: see ``RunRecord.verdict``. A
    KeyboardInterrupt ends the run in order, and is raised again when its record is written.

    Args:
        workload: File or name of the workload.
        target: File or name of the target.
        overrides: As ``--set``; keys of the target begin with "target.".
        out: The run's own folder, which must not exist; None for a new one in ``reports/``.
        workers: Processes that make the load; None for as many as the plan needs.
        label: What is tested.
        tags: More about it.
        locustfile: User classes in place of the harness's own.
        force: Whether to run what this machine is too small for.
        owned: Whether you state that the target is yours, as ``--i-own-this-target``.
        max_usd: Run only while it costs no more at list prices.

    Raises:
        HarnessError: If there is no run to speak of: a file or a flag is wrong, the target cannot
            be reached, or the load process failed. The sentence is the one that the command line
            prints, and ``exit_code`` what it exits with.
    """
    plan = load_plan(workload, target, overrides=overrides)
    folder = Path(out) if out is not None else default_folder(plan)
    options = {
        "--workers": workers,
        "--label": label,
        "--locustfile": locustfile,
        "--max-usd": max_usd,
    }
    command = [*python_command("harness"), "run", str(workload), "--target", str(target)]
    command += [f"--set={one}" for one in _assignments(overrides)]
    command += [f"{flag}={value}" for flag, value in options.items() if value is not None]
    command += [f"--tag={key}={value}" for key, value in (tags or {}).items()]
    flags = {"--force": force, "--i-own-this-target": owned}
    command += [flag for flag, is_given in flags.items() if is_given]
    _run_to_its_end([*command, f"--out={folder}"], folder)

    from harness.analysis.public import read_record

    return read_record(folder)


def _assignments(overrides: Overrides) -> list[str]:
    """Return overrides as ``--set`` takes them: values as JSON, which TOML reads the same."""
    if isinstance(overrides, str):
        rule, hint = "must be a mapping or a list", '{"publishing.rate_per_s": 2}'
        raise ScenarioError([ScenarioProblem("overrides", "", overrides, rule, hint)])
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={orjson.dumps(value).decode()}" for key, value in overrides.items()]


def _run_to_its_end(command: Sequence[str], folder: Path) -> None:
    """Run a command; raise HarnessError unless it left a record in a folder that is new."""
    existed = is_there(folder)
    with (
        tempfile.TemporaryDirectory(prefix="harness-api-") as private,
        tempfile.TemporaryFile() as said,
    ):
        error_file = Path(private, "error.json")
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | {ERROR_FILE_VARIABLE: str(error_file)},
            start_new_session=True,
        )
        code = _wait(child)
        if (error := read_error(error_file)) is not None:
            raise error
        if existed or code not in _MEASURED or not (folder / RUN_FILE).is_file():
            raise _failure(code, folder, said)


def _wait(child: "subprocess.Popen[Any]") -> int:
    """Return the exit status of a run; an interrupt ends it in order, another one at once."""
    try:
        return child.wait()
    except BaseException:
        while child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait()
            except KeyboardInterrupt:
                continue
        raise


def _failure(code: int, folder: Path, said: IO[bytes]) -> HarnessError:
    """Return why a run has nothing to return that reported no error of its own."""
    said.seek(0)
    parts = re.split("[eE]rror: ", said.read().decode(errors="replace"))
    sentence, _, hint = " ".join(parts[-1].split()).partition(" hint: ")
    if code == ExitCode.TARGET_UNREACHABLE:
        kept = f"the record is in {folder}"
        return TargetUnreachableError("target", sentence, "users must be able to join", kept)
    exit_code = ExitCode(code) if code in set(ExitCode) else ExitCode.INTERNAL_ERROR
    return ChildError("HarnessError", sentence or "the run failed", hint or None, exit_code)
