"""The workers of one run as its record names them: who they are, who was lost, who came late."""

from collections.abc import Callable
from typing import Any

from harness.load.master.worker_registry import WorkerRegistry

Say = Callable[[str], None]


class RunRoster:
    """The workers that a plan was dealt to.

    Args:
        registry: Where they introduced themselves; not asked in a local run.
        warnings: Where warnings of the record go.
        say: Tells the user something at once.
    """

    def __init__(self, registry: WorkerRegistry, warnings: list[dict[str, Any]], say: Say) -> None:
        self._registry = registry
        self._warnings = warnings
        self._say = say
        self.rows: list[dict[str, Any]] = []
        """A row of run.json for each, in order of worker number."""

    def call_local(self) -> None:
        """Note that the one process of this run is all there is."""
        self.rows = [{"index": 0, "id": "local", "clock": "run clock"}]

    def call(self, ids: list[str]) -> None:
        """Fix who takes part; whoever comes from now on is sent away.

        Args:
            ids: Locust's client ids, in order of worker number.
        """
        self._registry.on_late = self._came_late
        self.rows = self._registry.enlist(ids)

    def lose(self, number: int, sentence: str, joined: int, lost_at_s: float) -> None:
        """Go on without a worker.

        Args:
            number: Its number.
            sentence: What is wrong with it.
            joined: How often its users had joined.
            lost_at_s: When it was given up, seconds after the epoch.
        """
        self.rows[number] |= {"lost_at_s": lost_at_s, "joined": joined}
        hint = (
            f"its {joined} users and 1/{len(self.rows)} of the publishes were missing from then "
            "on, and the run went on without them, as --allow-lost-workers says"
        )
        self._warn("worker_lost", sentence, hint)

    def _came_late(self, worker: str) -> None:
        hint = f"the plan was dealt to {len(self.rows)} workers already and lost nothing by it"
        sentence = f"{worker} came after the run had begun and was sent away"
        self._warn("worker_late", sentence, hint)

    def _warn(self, code: str, sentence: str, hint: str) -> None:
        self._say(f"warning: {sentence}\nhint: {hint}")
        note = {"code": code, "observed": sentence, "limit": None, "hint": hint}
        self._warnings.append(note | {"invalidates": False})
