"""What the ``[emulator]`` table of every emulated target has; each system adds keys of its own.

A system's own keys are a subclass of ``Emulator``, which its ``System`` names.
"""

from typing import ClassVar, Self

from pydantic import Field

from harness.scenario.faults import Faults
from harness.scenario.model import Bytes, Count, FolderPath, ScenarioModel, Secret

STATS_PATH = "/_emulator/stats"
LOG_PATH = "/_emulator/log"
FAULTS_PATH = "/_emulator/faults"
RESET_PATH = "/_emulator/reset"
"""Control path of every emulator, separate from the paths of its system."""


class Credentials(ScenarioModel):
    """One pair of AWS credentials that signatures are checked against."""

    access_key_id: str = Field(min_length=1, description="The public key id.")
    secret_access_key: Secret = Field(
        min_length=1, description="The secret key, valid for this emulator only."
    )
    session_token: Secret = Field(default="", description="Must be sent where it is not empty.")


class Emulator(ScenarioModel):
    """The emulator of the system on this machine; only if the target is emulated."""

    RELOADABLE: ClassVar[frozenset[str]] = frozenset()
    """Keys that a running emulator can change."""

    processes: Count | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes that share the emulator's port. Left out, a run takes as many as "
        "its plan needs, and `harness emulate` takes one.",
    )
    tls: bool = Field(
        default=False, description="Whether it serves https and wss, with its own certificate."
    )
    certificate_folder: FolderPath | None = Field(
        default=None,
        description="Where that certificate is kept from one start to the next, so that clients "
        "need to be told to trust it only once; relative to this file. Left out, each start makes "
        "another.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address it listens on; other hosts can connect to any other than loopback.",
    )
    port: int = Field(default=0, ge=0, le=65535, description="Its port; 0 takes any free one.")
    subscriber_buffer_bytes: Bytes = Field(
        default=4 * 1024 * 1024,
        gt=0,
        description="Bytes one subscriber may leave unread, besides what the kernel holds for it, "
        "before it is disconnected.",
    )
    seed: Count = Field(
        default=0, ge=0, description="Selects what faults affect; the same seed, the same choices."
    )
    faults: Faults = Field(
        default=(), description="What goes wrong on purpose, counted from the emulator's start."
    )

    @property
    def client_key(self) -> str:
        """The API key that its clients present; empty for a system that knows none."""
        return ""

    def require_namespace(self, name: str) -> None:
        """Raise ``broken_rule`` unless channels of this namespace exist; here all of them do."""

    def changed_until_restart(self, before: Self) -> list[str]:
        """Return the keys that differ from ``before`` and that a running emulator cannot change."""
        return [
            name
            for name in type(self).model_fields
            if name not in self.RELOADABLE and getattr(self, name) != getattr(before, name)
        ]
