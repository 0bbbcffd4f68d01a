"""What a target of server-sent events says differently from others: its clients, its emulator.

Source: WHATWG HTML, section 9.2, read November 2026. How the dedicated servers of a service are
limited, and how long one more takes to arrive, is that service's own; nothing is limited by
default.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

import orjson
from pydantic import Field, model_validator

from harness.core.message_token import PLACE
from harness.scenario.client_options import CHANNEL_MARK, AddressOptions, HeaderValue
from harness.scenario.emulator import Emulator
from harness.scenario.model import (
    Bytes,
    Count,
    Milliseconds,
    PerSecond,
    ScenarioModel,
    Seconds,
    Secret,
    broken_rule,
)

MESSAGE_MARK = re.compile(r"\{(message(:string)?|envelope(_text)?)\}")
"""Where a publish's body has the message, and what earlier versions called that."""
_MARK = re.compile(rb"\{(message|message:string|envelope|envelope_text|channel)\}")


class ClientOptions(AddressOptions):
    """What clients listen to, and how they publish."""

    NO_LONGER_READ: ClassVar[frozenset[str]] = frozenset({"envelope_path"})

    event_types: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="Names of the events that carry messages, `message` for those without a name; "
        "left out, all do.",
    )
    publish_body: str = Field(
        default="{message}",
        description="Body of a publish: `{message}` stands for the message as it is, "
        "`{message:string}` for a JSON string that holds it, `{channel}` for a JSON string with "
        "the channel's path.",
    )
    publish_content_type: HeaderValue = Field(
        default="application/json", description="Content type of that body."
    )
    stalled_after_s: Seconds | None = Field(
        default=None,
        gt=0,
        description="Silence after which a client gives its stream up, such as two heartbeats and "
        "a bit. Left out, never: a browser does not.",
    )
    heartbeat_s: Seconds | None = Field(
        default=None,
        gt=0,
        description="Time between two heartbeats of the service. A stream that brings no byte for "
        "more than two of them counts as `stalled` each time, and stays. Left out, or with "
        "stalled_after_s, that is no error.",
    )

    @property
    def stall_limit_s(self) -> float | None:
        """Silence that is an error although the stream stays: two heartbeats."""
        if self.stalled_after_s is not None or self.heartbeat_s is None:
            return None
        return 2 * self.heartbeat_s

    def body(self, channel: str, message: bytes) -> bytes:
        """Return the body that publishes a message."""
        text = orjson.dumps(message.decode())
        values = {b"message": message, b"message:string": text, b"channel": orjson.dumps(channel)}
        values |= {b"envelope": message, b"envelope_text": text}  # Of earlier versions.
        return _MARK.sub(lambda mark: values[mark[1]], self.publish_body.encode())

    def addresses_of_channels(self, endpoints: Mapping[str, str]) -> Mapping[str, str]:
        """Return the stream's address, and that of publishes whose body does not name a channel."""
        addresses = dict(super().addresses_of_channels(endpoints))
        if CHANNEL_MARK in self.publish_body:
            addresses.pop("endpoints.http", None)
        return addresses

    def require_message(self, message: str) -> None:
        """Raise ``broken_rule`` for a body that is to be JSON and is none with such a message."""
        is_json = self.publish_content_type.partition(";")[0].strip().lower().endswith("json")
        if not is_json or _MARK.fullmatch(self.publish_body.encode()):
            return  # The message alone may be a text, whatever the content type says.
        body = self.body("/default/room-0", message.replace(PLACE, "7zq0").encode())
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError:
            raise broken_rule(
                f"with a sample message is not JSON: {body.decode()[:200]}",
                key="publish_body",
                hint="{message:string} is the message as a JSON string, with its quotes; "
                "for a body that is no JSON set publish_content_type",
            ) from None

    @model_validator(mode="after")
    def _publishes_the_message(self) -> Self:
        if not MESSAGE_MARK.search(self.publish_body):
            rule = "must contain {message} or {message:string}"
            raise broken_rule(
                rule, key="publish_body", hint="otherwise no message could be published"
            )
        return self


class Servers(ScenarioModel):
    """Dedicated servers of fixed capacity behind one address, which hold the streams."""

    count: Count = Field(default=1, ge=1, le=64, description="Servers at the start.")
    connections: Count | None = Field(
        default=None,
        ge=1,
        description="Connections one server holds; full, it accepts none. Default: no limit.",
    )
    accept_queue: Count = Field(
        default=128,
        ge=1,
        le=4096,
        description="Connections that wait in the kernel until a server accepts them. It keeps one "
        "more, and drops the SYN of any further: the client's kernel tries again by itself.",
    )
    accepts_per_s: PerSecond | None = Field(
        default=None, gt=0, description="Connections one server accepts. Default: no limit."
    )
    deliveries_per_s: PerSecond | None = Field(
        default=None,
        gt=0,
        description="Deliveries one server writes; others wait their turn. Default: no limit.",
    )


class Arrival(ScenarioModel):
    """Time from a request until one more server is ready, uniformly distributed."""

    minimum: Seconds = Field(default=90.0, ge=0, description="Shortest time.")
    maximum: Seconds = Field(default=240.0, gt=0, description="Longest time.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.maximum < self.minimum:
            raise broken_rule(f"must not be below minimum = {self.minimum:g}", key="maximum")
        return self


class Scaling(ScenarioModel):
    """Manual scaling: one more server is requested, and is ready some time later."""

    servers: Count = Field(default=0, ge=0, le=64, description="Most servers that are added.")
    noticed_after_s: Seconds | None = Field(
        default=30.0,
        ge=0,
        description="Overload of this length causes a request, once for each server that is not "
        "ready yet. Overload is when all servers are full, or deliveries wait.",
    )
    asked_at_s: Annotated[tuple[Seconds, ...], Field(strict=False)] = Field(
        default=(),
        description="Further times of requests, counted from the emulator's start.",
    )
    arrives_after_s: Arrival = Field(
        default=Arrival(), description="How long after that it accepts connections."
    )


class Options(Emulator):
    """One service of server-sent events, as the emulator implements it."""

    token: Secret = Field(
        default="",
        description="Bearer token that streams and publishes must show; empty for none.",
    )
    heartbeat_s: Seconds = Field(
        default=15.0, gt=0, description="Time between two comments on each stream."
    )
    retry_ms: Milliseconds = Field(
        default=3000.0,
        ge=0,
        description="Reconnection time sent to clients. The default of browsers is about the same.",
    )
    replay_events: Count = Field(
        default=200,
        ge=0,
        description="Events of a channel that can be replayed to a returning client.",
    )
    replay_age_s: Seconds = Field(
        default=300.0, gt=0, description="Age at which an event is no longer replayed."
    )
    event_bytes: Bytes = Field(default=1024 * 1024, gt=0, description="Largest event.")
    servers: Servers | None = Field(
        default=None, description="Servers of fixed capacity. Default: nothing is limited."
    )
    scaling: Scaling = Field(default=Scaling(), description="Servers added by hand.")

    @model_validator(mode="after")
    def _scales_what_there_is(self) -> Self:
        if self.scaling.servers and self.servers is None:
            hint = "write [emulator.servers] with what one server can carry"
            raise broken_rule("must be given with scaling", key="servers", hint=hint)
        return self

    @property
    def client_key(self) -> str:
        """The bearer token."""
        return self.token
