"""What a polling target has of its own: how its clients ask, and how its emulator answers."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.scenario import client_options
from harness.scenario.emulator import Emulator
from harness.scenario.model import Count, PerSecond, Ratio, Seconds, Unit

ANSWER_WITHIN_S = 2.0
"""What the last poll of a run may take at least, whatever the interval."""

Key = Annotated[str, Field(max_length=200)]


class ClientOptions(client_options.AddressOptions):
    """How viewers poll, and the paths in an answer."""

    NO_LONGER_READ: ClassVar[frozenset[str]] = frozenset({"event_path"})

    interval_s: Seconds = Field(
        default=5.0,
        gt=0,
        le=3600,
        description="Time from one poll to the next, unless the server returns another.",
    )
    jitter_ratio: Ratio = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Each wait is the interval times a random factor this far around 1; the first "
        "is a random part of one interval.",
    )
    follow_server_interval: bool = Field(
        default=True, description="Whether the interval in an answer replaces interval_s."
    )
    reuse_connections: bool = Field(
        default=True, description="Whether a user keeps its connection from one poll to the next."
    )
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="A poll fails if it is not answered in this time."
    )
    answer: Literal["messages", "message"] = Field(
        default="messages",
        description="What an answer holds: JSON with a list of messages, or one message and "
        "nothing else; then the next poll follows at once until nothing is new.",
    )
    cursor_parameter: Key = Field(
        default="after",
        description="Query parameter that names the last message seen; empty for none, where the "
        "validators ETag and Last-Modified do that.",
    )
    messages_path: Key = Field(
        default="messages", description="Keys with dots that lead to the list in the answer."
    )
    cursor_path: Key = Field(
        default="next", description="Likewise to what the next poll names; empty for none."
    )
    interval_path: Key = Field(
        default="poll_after_ms",
        description="Likewise to the interval the server wants, in ms; empty for none.",
    )

    def least_drain_s(self, _emulator: Emulator | None) -> float:
        """Return how long after the last message the poll that brings it may be answered."""
        asked_s = _emulator.poll_after_s if isinstance(_emulator, Options) else None
        follows = self.follow_server_interval and asked_s is not None
        return self.fetch_within_s(
            max(self.interval_s, asked_s or 0.0) if follows else self.interval_s
        )

    def fetch_within_s(self, interval_s: float) -> float:
        """Return how long a message may wait for the next poll, and that poll for its answer."""
        return interval_s * (1 + self.jitter_ratio) + ANSWER_WITHIN_S


class Options(Emulator):
    """A service that keeps the last messages of each channel, as the emulator implements it."""

    poll_after_s: Seconds | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="Poll interval in its answers. Default: none.",
    )
    kept_messages: Count = Field(
        default=1000, ge=1, description="Messages that a channel keeps; older ones are deleted."
    )
    answer_messages: Count = Field(
        default=500,
        ge=1,
        description="Most messages in one answer; the next answer has the others.",
    )
    requests_per_s: PerSecond | None = Field(
        default=None,
        gt=0,
        description="Quota of polls and publishes; above it the answer is 429. Default: no limit.",
    )
    retry_after_s: Annotated[int, Unit("s")] = Field(
        default=1, ge=0, description="Value of Retry-After, in whole seconds."
    )
