"""Reading ``run.json``: what a run was to do, what it was about, and whether it can be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from harness.core.distribution import VERSION
from harness.core.errors import HarnessError
from harness.core.exit_codes import ExitCode
from harness.core.metrics import current_name
from harness.measure.record import RUN_FILE, SCHEMA_VERSION
from harness.measure.record_schema import RENAMED_COLUMNS

Json = dict[str, Any]

_KINDS: Final[dict[str, type]] = {
    "epoch_ns": int,
    "plan": dict,
    "environment": dict,
    "phases": list,
    "workers": list,
    "warnings": list,
}
"""What the parts of a ``run.json`` are where they are there."""
_NAME_A_FOLDER: Final = (
    "name one of the folders inside reports/, for example the newest: ls -t reports | head"
)


class NoRecordError(HarnessError):
    """There is no run record in the folder that was named, or none that can be read."""

    exit_code = ExitCode.BAD_USAGE


class UnreadableRunError(NoRecordError):
    """A ``run.json`` is missing or damaged; the rest of its record may still be read."""


def read_run(folder: Path) -> Json:
    """Read a record's ``run.json``.

    Raises:
        NoRecordError: If there is none, or it is not one this version can read.
    """
    path = folder / RUN_FILE
    try:
        run = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise UnreadableRunError(
            str(folder), f"holds no {RUN_FILE}", "a run's own folder is needed", _NAME_A_FOLDER
        ) from None
    except OSError as error:
        raise NoRecordError(
            *(str(path), f"cannot be read ({(error.strerror or str(error)).lower()})"),
            *("a run's own folder is needed", _NAME_A_FOLDER),
        ) from None
    except orjson.JSONDecodeError as error:
        raise UnreadableRunError(
            str(path), f"is not JSON ({error})", "a run record is needed"
        ) from None
    _require_readable(path, run)
    return _with_current_names(run)


def runs_in(folder: Path) -> list[Path]:
    """Return the runs directly below a folder, in order; the folder itself where there are none."""
    found = [] if (folder / RUN_FILE).is_file() else folder.glob(f"*/{RUN_FILE}")
    below = sorted((file.parent for file in found), key=lambda one: (len(one.name), one.name))
    return below or [folder]


def _with_current_names(run: Json) -> Json:
    """Return a ``run.json`` whose figures have the names that this version gives them."""
    for slo in _slos(run):
        slo["metric"] = current_name(slo["metric"])
    summary = run.get("summary")
    if not isinstance(summary, dict) or not isinstance(summary.get("deliveries"), dict):
        return run
    figures = {RENAMED_COLUMNS.get(key, key): value for key, value in summary["deliveries"].items()}
    return run | {"summary": summary | {"deliveries": figures}}


def _slos(run: Json) -> list[Json]:
    """Return the objectives of a run's plan that name a figure; none where the file is damaged."""
    plan = run.get("plan")
    workload = plan.get("workload") if isinstance(plan, dict) else None
    slos = workload.get("slos") if isinstance(workload, dict) else None
    named = slos if isinstance(slos, list) else []
    return [slo for slo in named if isinstance(slo, dict) and isinstance(slo.get("metric"), str)]


def _require_readable(path: Path, run: Any) -> None:
    """Refuse a file of another version, naming that version, and a file that is no record."""
    version = run.get("schema_version") if isinstance(run, dict) else None
    if not isinstance(version, int):
        required = "a JSON object with a schema_version is needed"
        raise UnreadableRunError(str(path), "is no run record", required, _NAME_A_FOLDER)
    if version != SCHEMA_VERSION:
        raise _of_another_version(path, run, version)
    wrong = [key for key, kind in _KINDS.items() if not isinstance(run.get(key, kind()), kind)]
    needed = ("epoch_ns", *(("plan", "phases") if run.get("status") == "completed" else ()))
    wrong += [key for key in needed if key not in run]
    plan = {} if "plan" in wrong else run.get("plan", {})
    parts = ("workload", "target")
    wrong += [f"plan.{part}" for part in parts if not isinstance(plan.get(part, {}), dict)]
    if wrong:
        found = f"is damaged ({', '.join(wrong)} missing or of the wrong kind)"
        raise UnreadableRunError(str(path), found, "a run record is needed")


def _of_another_version(path: Path, run: Json, version: int) -> NoRecordError:
    environment = run.get("environment")
    versions = environment.get("versions") if isinstance(environment, dict) else None
    number = versions.get("fanout-harness") if isinstance(versions, dict) else None
    writer = f"harness {number}" if number else "an unknown version of the harness"
    newer = "this harness is older than the record: update it"
    return NoRecordError(
        str(path),
        f"has schema version {version}, written by {writer}",
        f"this harness ({VERSION}) reads version {SCHEMA_VERSION}",
        newer if version > SCHEMA_VERSION else f"read it with {writer}",
    )


def label_of(run: dict[str, Any]) -> str:
    """Return the label in a ``run.json``; empty where there is none."""
    label = run.get("label")
    return label if isinstance(label, str) else ""


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    """Return the tags in a ``run.json``."""
    tags = run.get("tags")
    return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}


def label_words(run: dict[str, Any]) -> str:
    """Return label and tags in one line, such as "checkout 2.1, commit=1a2b3c4"."""
    tags = [f"{key}={value}" for key, value in tags_of(run).items()]
    return ", ".join([*filter(None, [label_of(run)]), *tags])


def shared_label(runs: Sequence[dict[str, Any]]) -> str:
    """Return the label that all runs have; empty where they do not agree."""
    labels = {label_of(run) for run in runs}
    return labels.pop() if len(labels) == 1 else ""


def differing_tags(sides: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    """Return, for each side, the tags in which the sides differ, such as "commit=1a2b3c4"."""
    tags = [[tags_of(run) for run in side] for side in sides]
    keys = dict.fromkeys(key for side in tags for one in side for key in one)
    values = {
        key: [tuple({one.get(key, "not set"): None for one in side}) for side in tags]
        for key in keys
    }
    differing = [key for key in keys if len(set(values[key])) > 1]
    return [
        ", ".join(f"{key}={' or '.join(values[key][place])}" for key in differing)
        for place in range(len(tags))
    ]
