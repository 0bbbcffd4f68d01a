"""What the ``[client]`` table of every target may hold; each system adds keys of its own.

A system's own keys are a subclass of ``ClientOptions``, which its ``System`` names.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field, field_validator, model_validator

from harness.core.channels import CHANNEL_SEPARATOR
from harness.scenario.auth import Variable
from harness.scenario.emulator import Emulator
from harness.scenario.model import ScenarioModel, broken_rule

Separator = Annotated[str, Field(max_length=40, pattern=r"^[A-Za-z0-9._~!$&'()*+,;:@/=|-]*$")]
"""What may stand in the path or the query of an address as it is. Source: RFC 3986, section 3.3."""

Token = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
"""Name of a header or a cookie. Source: RFC 9110, section 5.6.2."""
HeaderValue = Annotated[str, Field(pattern=r"^[ -~]*$")]
Parameter = Annotated[str, Field(min_length=1)]
Subprotocol = Annotated[str, Field(pattern=r"^([!#$%&'*+.^_`|~0-9A-Za-z-]|\$\{\w+\})+$")]
Path = Annotated[str, Field(min_length=1, max_length=200)]
JsonRules = dict[Path, str | bool | int | float]
"""See ``core.json_rules``."""

_SET_BY_THE_PROTOCOL = frozenset(
    {
        *("host", "connection", "upgrade", "content-length", "transfer-encoding"),
        *("last-event-id", "if-none-match", "if-modified-since"),
    }
)


CHANNEL_MARK = "{channel}"
"""Stands for a channel's path in addresses and bodies."""


class Misfit(NamedTuple):
    """A rule that a workload and a target break together; a key of the target has a table."""

    key: str
    found: str
    rule: str
    hint: str


class ClientOptions(ScenarioModel):
    """How the simulated clients of this system behave and what they send."""

    NO_LONGER_READ: ClassVar[frozenset[str]] = frozenset()
    """Keys that said where a message is in what clients receive; older targets still have them."""

    headers: dict[Token, HeaderValue] = Field(
        default={},
        description="Headers of every request: of connections, polls and publishes. One that the "
        "harness sends itself, such as `User-Agent` or `Accept`, is replaced. Only the target's "
        "own hosts get them, not those that it redirects to; likewise the keys below.",
    )
    headers_env: dict[Token, Variable] = Field(
        default={},
        description="The same with a secret: header to the environment variable that holds it.",
    )
    cookies: dict[Token, HeaderValue] = Field(
        default={},
        description="Cookies of every request. One that the service sets takes the place of one "
        "with the same name, for that user.",
    )
    cookies_env: dict[Token, Variable] = Field(
        default={},
        description="The same with a secret: cookie to the environment variable that holds it.",
    )
    query: dict[Parameter, str] = Field(
        default={},
        description="Query parameters of every request, added to those of the address and "
        "percent-encoded.",
    )
    query_env: dict[Parameter, Variable] = Field(
        default={},
        description="The same with a secret: parameter to the environment variable that holds it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_keys_no_longer_read(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key not in cls.NO_LONGER_READ}

    @field_validator("headers", "headers_env")
    @classmethod
    def _leave_the_protocol_its_own(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            folded = name.lower()
            if folded in _SET_BY_THE_PROTOCOL or folded.startswith("sec-websocket-"):
                hint = "remove it"
                if folded == "sec-websocket-protocol":
                    hint = "a WebSocket system has the key subprotocols"
                rule = "must not be given: the protocol itself needs this header"
                raise broken_rule(rule, key=name, hint=hint)
        return headers

    def least_drain_s(self, _emulator: Emulator | None) -> float:
        """Return how long a drain must last at least to take what the clients are still owed.

        Args:
            _emulator: Options of the emulator; None where the system runs elsewhere.
        """
        return 0.0

    def further_addresses(self) -> tuple[str, ...]:
        """Return the addresses that clients connect to beside the endpoints."""
        return ()

    def most_subscriptions(self, most: int) -> int:
        """Return how many channels a client can subscribe to, of those the system allows."""
        return most

    def knows_wildcards(self) -> bool:
        """Say whether the target, a service that runs elsewhere, knows the system's wildcards."""
        return True

    def require_emulated(self) -> None:
        """Raise ``broken_rule`` unless the system's emulator understands such clients."""

    def require_message(self, message: str) -> None:
        """Raise ``broken_rule`` unless the target's ``message`` can be published."""

    def misfits(
        self, _channels: int, _transport: str, _endpoints: Mapping[str, str]
    ) -> Iterator[Misfit]:
        """Yield what of a workload these clients cannot do; nothing by default.

        Args:
            _channels: How many the workload has.
            _transport: Of its publishes.
            _endpoints: Addresses ``http`` and ``realtime``; empty where the target is emulated.
        """
        yield from ()


class WebSocketOptions(ClientOptions):
    """For systems whose clients connect by WebSocket."""

    subprotocols: tuple[Subprotocol, ...] = Field(
        default=(),
        strict=False,
        description="Values that clients offer in `Sec-WebSocket-Protocol`, such as a token; "
        "`${NAME}` in them is taken from the environment. The service must choose one of those "
        "offered, as browsers require.",
    )


class WildcardOptions(ClientOptions):
    """For systems that leave it to each service what its answers say and which names it knows."""

    wildcards: bool = Field(
        default=False,
        description="Whether a service of your own takes `default/*` for all channels that begin "
        "like it, and sends each message once. The emulator does.",
    )
    reject: JsonRules = Field(
        default={"errors": True, "error": True},
        description="What makes an answer in JSON a refusal, even with status 200: keys with dots "
        "to their values, of which one is enough. `true` stands for any value but false, 0 and "
        "what is empty. `{}` for nothing.",
    )

    def knows_wildcards(self) -> bool:
        """Say what the target says of the service."""
        return self.wildcards


class AddressOptions(WildcardOptions):
    """For systems whose clients name their channels in the address that they ask."""

    channel_separator: Separator = Field(
        default=CHANNEL_SEPARATOR,
        description="What stands between the paths where a client names several channels at "
        "`{channel}`: `,` in the emulator, `&topic=` for a query with one parameter a channel. "
        "Empty for a service that gives one channel an answer.",
    )

    def most_subscriptions(self, most: int) -> int:
        """Return the system's limit, or one where an address names one channel."""
        return most if self.channel_separator else 1

    def misfits(
        self, channels: int, _transport: str, endpoints: Mapping[str, str]
    ) -> Iterator[Misfit]:
        """Yield the addresses that cannot name the channels of a workload with several."""
        for key, address in self.addresses_of_channels(endpoints).items():
            if channels > 1 and CHANNEL_MARK not in address:
                rule = f"has no {CHANNEL_MARK}, but the workload has {channels} channels"
                hint = f"write {CHANNEL_MARK} where it names the room, or set channels.count = 1"
                yield Misfit(key, "", rule, hint)

    def addresses_of_channels(self, endpoints: Mapping[str, str]) -> Mapping[str, str]:
        """Return the addresses that alone tell the service a channel, by key."""
        return {f"endpoints.{key}": address for key, address in endpoints.items()}

    def require_emulated(self) -> None:
        """Raise ``broken_rule`` for a separator that the emulator does not know."""
        if self.channel_separator not in ("", CHANNEL_SEPARATOR):
            raise broken_rule(
                f"must be {CHANNEL_SEPARATOR!r} where emulated = true",
                key="channel_separator",
                hint="the emulator knows no other; leave it out",
            )
