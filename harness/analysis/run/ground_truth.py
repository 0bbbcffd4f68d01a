"""What an emulated system says it did itself, kept beside the record when its run ended."""

from typing import Final

import orjson

from harness.analysis.run.record import Json, Record

GROUND_TRUTH_FILE: Final = "emulator.json"

NO_LIMITS: Final = frozenset(("fault", "closed", "process_gone"))
"""Why an emulator drops deliveries other than for a limit: told to, or nobody is there."""


def emulator_stats(record: Record) -> Json:
    """Return what the emulator counted; empty where there was none, or it kept none."""
    try:
        truth = orjson.loads((record.folder / GROUND_TRUTH_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    stats = truth.get("stats") if isinstance(truth, dict) else None
    return stats if isinstance(stats, dict) else {}


def dropped_at_limits(record: Record) -> dict[str, int]:
    """Return how many deliveries the emulator gave up at a limit of its own, by that limit.

    All phases count, as the emulator knows none.
    """
    deliveries = emulator_stats(record).get("deliveries")
    dropped = deliveries.get("dropped") if isinstance(deliveries, dict) else None
    if not isinstance(dropped, dict):
        return {}
    return {cause: count for cause, count in dropped.items() if count and cause not in NO_LIMITS}
