"""What runs tested, as their records have it: labels and tags."""

from collections.abc import Sequence
from typing import Any


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
