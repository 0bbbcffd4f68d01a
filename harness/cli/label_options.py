"""``--label`` and ``--tag`` of the verbs that run something."""

from typing import Annotated

import typer

Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="NAME",
        help="Name of what is tested, for the record and its pages.  [env: HARNESS_LABEL]",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="KEY=VALUE",
        help="More about what is tested, such as commit=1a2b3c4. Repeatable.  "
        "[env: HARNESS_TAGS, a=b,c=d]",
    ),
]
