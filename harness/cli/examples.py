"""``harness examples``: list the scenarios that can be given by name."""

import textwrap

import typer

from harness.scenario.shipped import KINDS, known_names, scenario_file, shipped_root, summary

_WIDTH = 88


def examples() -> None:
    """List the workloads, targets, studies and SLOs that any command takes by name.

    Those in ./scenarios come first, then those that come with the harness.
    """
    for kind in KINDS:
        typer.echo(kind)
        names = known_names(kind)
        width = max(map(len, names))
        for name in names:
            about = summary(scenario_file(kind, name))
            typer.echo(f"  {name:<{width}}  {textwrap.shorten(about, _WIDTH, placeholder=' …')}")
    root = shipped_root()
    places = {"files": "scenarios", "pages": "docs", "dashboard": "deploy/grafana/fan-out.json"}
    typer.echo("".join(f"\n{what}: {root / place}" for what, place in places.items()))
