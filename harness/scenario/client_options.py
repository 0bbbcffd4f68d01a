"""What the ``[client]`` table of every target may hold; each system adds keys of its own.

A system's own keys are the model ``ClientOptions`` in ``harness/systems/<system>/options.py``.
"""

from harness.scenario.emulator import Emulator
from harness.scenario.model import ScenarioModel


class ClientOptions(ScenarioModel):
    """How the simulated clients of this system behave and what they send."""

    def least_drain_s(self, _emulator: Emulator | None) -> float:
        """Return how long a drain must last at least to take what the clients are still owed.

        Args:
            _emulator: Options of the emulator; None where the system runs elsewhere.
        """
        return 0.0
