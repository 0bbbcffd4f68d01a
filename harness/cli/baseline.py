"""``harness baseline``: keep the data of runs in one file, for later comparisons."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Action(StrEnum):
    """What to do with a baseline."""

    SAVE = "save"


def baseline(
    action: Annotated[Action, typer.Argument(metavar="save", help="Write a baseline.")],  # noqa: ARG001 - the only one
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of valid runs, or folders that hold them."),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
) -> None:
    """Keep the data of one or more runs of the same thing in one small file.

    Commit it, or store it where a pipeline finds it; then: harness compare --baseline FILE RUN.
    With three runs or more it also shows how far runs of the same thing are apart. The file is a
    tar archive, compressed with xz; each run in it is a record without its pages and charts.
    """
    from harness.analysis.decide.baseline import save_baseline
    from harness.analysis.run.run_file import runs_in

    found = [run for one in runs for run in runs_in(one)]
    size = save_baseline(found, out)
    typer.echo(f"baseline: {out}, {len(found)} run{'s' if len(found) > 1 else ''}, {size:,} bytes")
