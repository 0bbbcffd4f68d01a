"""``harness.run`` and ``harness.load_plan``: ``harness run`` for scripts and notebooks.

The run is ``harness run`` in a child process, which keeps gevent and the signal handlers out of the
caller's process. It can be called from any thread.
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

from harness.cli.options import folder_exists, usage_error
from harness.cli.run import default_folder
from harness.core.child_errors import ERROR_FILE_VARIABLE, ChildError, read_error
from harness.core.child_python import python_command
from harness.core.errors import HarnessError, TargetUnreachableError
from harness.core.exit_codes import ExitCode
from harness.measure.record import RUN_FILE

if TYPE_CHECKING:
    from harness.analysis.public import RunRecord
    from harness.scenario.plan import Plan

Overrides = Mapping[str, Any] | Sequence[str]
"""Scenario keys with their values, or a list of ``key=value`` as for ``--set``."""

_MEASURED = {ExitCode.PASS, ExitCode.SLO_FAILED, ExitCode.RUN_INVALID, ExitCode.INTERRUPTED}
"""Exit codes of runs that leave a record."""


def load_plan(workload: str | Path, target: str | Path, *, overrides: Overrides = ()) -> "Plan":
    """Return the plan of a workload and a target, without running anything.

    Args:
        workload: File or name of the workload.
        target: File or name of the target.
        overrides: As ``--set``; keys of the target begin with "target.".

    Raises:
        ScenarioError: With all problems of both files.
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

    A run that fails an objective or is invalid is returned too: see ``RunRecord.verdict``. A
    KeyboardInterrupt stops the run gracefully, and is raised again once the record is written.

    Args:
        workload: File or name of the workload.
        target: File or name of the target.
        overrides: As ``--set``; keys of the target begin with "target.".
        out: Output folder, which must not exist; None for a new one in ``reports/``.
        workers: Number of load processes; None for as many as the plan needs.
        label: Name of the version under test.
        tags: Details of the version under test.
        locustfile: User classes in place of the packaged ones.
        force: Whether to run even if this machine is too small for the plan.
        owned: Confirms that you may load-test a remote target, as ``--i-own-this-target``.
        max_usd: Maximum cost at list prices.

    Raises:
        HarnessError: If there is no record: a file or an option is invalid, the target cannot be
            reached, or the load process failed. Message and ``exit_code`` are those of the
            command line.
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
    """Return overrides as for ``--set``, with values as JSON, which is also valid TOML."""
    if isinstance(overrides, str):
        rule, hint = "must be a mapping or a list", '{"publishing.rate_per_s": 2}'
        raise usage_error("overrides", overrides, rule, hint)
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{key}={orjson.dumps(value).decode()}" for key, value in overrides.items()]


def _run_to_its_end(command: Sequence[str], folder: Path) -> None:
    """Run a command; raise HarnessError unless it left a record in a new folder."""
    existed = folder_exists(folder)
    with (
        tempfile.TemporaryDirectory(prefix="harness-api-") as private,
        tempfile.TemporaryFile() as output,
    ):
        error_file = Path(private, "error.json")
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            env=os.environ | {ERROR_FILE_VARIABLE: str(error_file)},
            start_new_session=True,
        )
        code = _wait(child)
        if (error := read_error(error_file)) is not None:
            raise error
        if existed or code not in _MEASURED or not (folder / RUN_FILE).is_file():
            raise _failure(code, folder, output)


def _wait(child: "subprocess.Popen[Any]") -> int:
    """Return the exit status of a run; an interrupt stops it gracefully, a second kills it."""
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


def _failure(code: int, folder: Path, output: IO[bytes]) -> HarnessError:
    """Return the error of a run that left no record and reported no error."""
    output.seek(0)
    parts = re.split("[eE]rror: ", output.read().decode(errors="replace"))
    sentence, _, hint = " ".join(parts[-1].split()).partition(" hint: ")
    if code == ExitCode.TARGET_UNREACHABLE:
        kept = f"the record is in {folder}"
        return TargetUnreachableError("target", sentence, "users must be able to join", kept)
    exit_code = ExitCode(code) if code in set(ExitCode) else ExitCode.INTERNAL_ERROR
    return ChildError("HarnessError", sentence or "the run failed", hint or None, exit_code)
