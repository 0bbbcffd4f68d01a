"""What the ``[client]`` table of every target may hold; each system adds keys of its own.

A system's own keys are the model ``ClientOptions`` in ``harness/systems/<system>/options.py``.
"""

from harness.scenario.model import ScenarioModel


class ClientOptions(ScenarioModel):
    """How the simulated clients of this system behave and what they send."""
