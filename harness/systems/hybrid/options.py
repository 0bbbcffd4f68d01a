"""What a hybrid target has: all that its two systems have, in the same tables."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from harness.scenario.client_options import WebSocketOptions
from harness.scenario.model import broken_rule
from harness.systems.appsync_events import options as sockets
from harness.systems.polling import SYSTEM as POLLS
from harness.systems.polling import options as polls


class ClientOptions(polls.ClientOptions, WebSocketOptions):
    """How viewers poll, and where; what the requests of both carry."""

    poll_address: str | None = Field(
        default=None,
        description="Address that viewers poll, with `{channel}` in it: https:// or http://. "
        "Left out, /poll/{channel} where publishes over HTTP go. `${NAME}` is taken from the "
        "environment.",
    )

    @field_validator("poll_address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        parts = urlsplit(address or "http://left-out")
        if parts.scheme not in POLLS.realtime_schemes or not parts.hostname:
            raise broken_rule(
                "must be an address that starts with https:// or http://",
                hint="for example https://example.org/rooms/{channel}",
            )
        return address

    def addresses_of_channels(self, _endpoints: Mapping[str, str]) -> Mapping[str, str]:
        """Return where viewers poll, if the target says so; on sockets, messages name channels."""
        return {"client.poll_address": self.poll_address} if self.poll_address else {}

    def further_addresses(self) -> tuple[str, ...]:
        """Return where viewers poll, if it is not beside the publishes."""
        return (self.poll_address,) if self.poll_address else ()


class Options(sockets.Options, polls.Options):
    """An Event API for chatters, and a store of its messages for polling viewers."""
