"""What the target of the toy system has of its own."""

from pydantic import Field

from harness.scenario.emulator import Emulator
from harness.scenario.model import Secret


class Options(Emulator):
    """A service with one key for all."""

    key: Secret = Field(default="toy-key", min_length=1, description="Key that everybody shows.")

    @property
    def client_key(self) -> str:
        """The key that clients show."""
        return self.key
