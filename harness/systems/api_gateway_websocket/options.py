"""The ``[client]`` and ``[emulator]`` tables of an API Gateway WebSocket target.

Defaults are AWS's where AWS documents one; what it does not is in ``Undocumented``, and what the
account's owner builds behind the API in ``Broadcast`` and the routes. Source:
docs.aws.amazon.com/apigateway/latest/developerguide, "Quotas for configuring and running a
WebSocket API in API Gateway" and "Amazon API Gateway quotas", read November 2026; the broadcast is
that of github.com/aws-samples/simple-websockets-chat-app.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from harness.scenario.client_options import JsonRules, Misfit, WebSocketOptions, WildcardOptions
from harness.scenario.emulator import Credentials, Emulator
from harness.scenario.faults import DelayMs, FixedDelay
from harness.scenario.model import (
    Bytes,
    Count,
    Milliseconds,
    PerSecond,
    Ratio,
    ScenarioModel,
    Seconds,
    Secret,
)

Text = Annotated[str, Field(min_length=1)]
Key = Annotated[str, Field(pattern=r"^[^.]+$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")]
QueryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]*$")]


class ClientOptions(WildcardOptions, WebSocketOptions):
    """Keys and actions that the backend of the API expects and returns."""

    NO_LONGER_READ: ClassVar[frozenset[str]] = frozenset({"envelope_path"})

    action_key: Key = Field(
        default="action", description="Key that the API's route selection expression reads."
    )
    join_action: str = Field(
        default="join",
        description="Action that subscribes to a channel; empty where connecting is enough.",
    )
    publish_action: Text = Field(
        default="sendmessage", description="Action that sends a message to a channel."
    )
    channel_key: Key = Field(default="channel", description="Key of the channel's path.")
    id_key: Key = Field(
        default="id",
        description="Key of the id of a join or publish; the frame that repeats it is the answer.",
    )
    join_answer: Text | JsonRules = Field(
        default={},
        description="For a backend that repeats no id: what confirms a join, the oldest one that "
        "is open. Either the whole text, or keys with dots to the values that the answer must all "
        'have, such as `{ event = "joined" }`; `true` stands for any that is not empty.',
    )
    publish_answer: Text | JsonRules = Field(
        default={}, description="Likewise what acknowledges a publish."
    )
    data_key: Key = Field(
        default="data",
        description="Key of the message, which is put in as a JSON string unless it is JSON.",
    )
    channels_per_user: Count | None = Field(
        default=None,
        ge=1,
        description="Channels the backend lets one connection be in; left out, as many as a "
        "workload wants.",
    )
    route_responses: bool = Field(
        default=True,
        description="Whether the routes have a route response. Without one a join and a publish "
        "count as accepted once they are sent, because nothing ever says so.",
    )
    keep_alive_s: Seconds = Field(
        default=540.0, gt=0, lt=600, description="Time between two signs of life; AWS wants 10 min."
    )
    keep_alive_action: str = Field(
        default="",
        description="Action sent as a sign of life, which is billed; empty for a ping frame.",
    )
    key_header: HeaderName = Field(
        default="Authorization",
        description="Header the authorizer of $connect reads the API key from; empty for none.",
    )
    key_query: QueryName = Field(
        default="", description="Query parameter it is read from; empty for none."
    )

    def most_subscriptions(self, most: int) -> int:
        """Return the backend's limit, if the target names one."""
        return min(most, self.channels_per_user or most)

    def misfits(
        self, channels: int, transport: str, _endpoints: Mapping[str, str]
    ) -> Iterator[Misfit]:
        """Yield publishing over HTTP, and several channels where no message names one."""
        if transport == "http":
            rule = "must be websocket: this system takes publishes over WebSocket only"
            hint = 'set publishing.transport = "websocket"'
            yield Misfit("publishing.transport", '"http"', rule, hint)
        if channels > 1 and not self.join_action:
            rule = 'must be 1 where client.join_action = ""'
            hint = "without a join, the address alone says which messages a connection gets"
            yield Misfit("channels.count", str(channels), rule, hint)


class IamUser(Credentials):
    """One pair of AWS credentials that calls of `@connections` are signed with."""

    may_manage_connections: bool = Field(
        default=True, description="Whether it is allowed `execute-api:ManageConnections`."
    )


class Route(ScenarioModel):
    """One route of the API and what the backend does on it."""

    key: Text = Field(description="Value that selects it; `$default` for all that nothing selects.")
    does: Literal["join", "leave", "broadcast", "echo", "nothing", "fail"] = Field(
        description="What the function behind it does; `fail` ends in an error."
    )
    response: bool = Field(
        default=True, description="Whether it has a route response to the sender."
    )


class Broadcast(ScenarioModel):
    """The functions that post a message to each connection in turn."""

    workers: Count = Field(
        default=1,
        ge=1,
        description="Functions among which the connections of one message are distributed.",
    )
    sockets: Count = Field(
        default=50, ge=1, description="Calls that each has in flight; the JavaScript SDK's default."
    )
    post_ms: DelayMs = Field(
        default=FixedDelay(distribution="fixed", value=30.0),
        description="How long a call of `@connections` takes; a bare number, or a distribution. "
        "AWS publishes none; third parties reckon with 15 to 100 ms.",
    )
    attempts: Count = Field(
        default=3, ge=1, description="Calls for one connection in all, where 429 is answered."
    )
    backoff_ms: Milliseconds = Field(
        default=500.0,
        gt=0,
        description="Longest wait before the second call, doubled before each further one; "
        "drawn between none and that, as the JavaScript SDK does.",
    )
    backoff_most_ms: Milliseconds = Field(
        default=20_000.0, gt=0, description="Longest wait before any call."
    )
    invoke_ms: Milliseconds = Field(
        default=10.0, ge=0, description="From a frame to the first line of its function: assumed."
    )
    cold_start_ms: Milliseconds = Field(
        default=135.0,
        ge=0,
        description="More than that where no function waits: assumed, for a small one in Node.js.",
    )
    concurrency: Count = Field(
        default=1000, ge=1, description="Functions at a time in each process of the emulator."
    )
    function_timeout_s: Seconds = Field(
        default=29.0,
        gt=0,
        le=900,
        description="When a function is ended, even if it has not posted to all connections.",
    )
    page_ms: Milliseconds = Field(
        default=10.0, ge=0, description="How long reading a page of the table takes: assumed."
    )
    page_rows: Count = Field(
        default=10_000, ge=1, description="Rows in a page: 1 MB of 100 bytes each."
    )
    first_page_only: bool = Field(
        default=False, description="Whether it forgets to read further pages, as AWS's sample does."
    )


class Quotas(ScenarioModel):
    """Limits of the account and the API, summed over the emulator's processes; 0 for none."""

    enabled: bool = Field(default=True, description="Whether any but the sizes is enforced.")
    requests_per_s: PerSecond = Field(
        default=10_000.0,
        ge=0,
        description="Frames and calls of `@connections` together; 2,500 in newer Regions.",
    )
    burst: Count = Field(
        default=5_000, ge=1, description="How many of these at once; 1,250 in newer Regions."
    )
    connects_per_s: PerSecond = Field(default=500.0, ge=0, description="New connections.")
    frame_bytes: Bytes = Field(default=32 * 1024, gt=0, description="Longest frame of a client.")
    message_bytes: Bytes = Field(default=128 * 1024, gt=0, description="Longest message, any way.")
    idle_s: Seconds = Field(default=600.0, ge=0, description="Silence that ends a connection.")
    lifetime_s: Seconds = Field(default=7_200.0, ge=0, description="Age that ends a connection.")


class Undocumented(ScenarioModel):
    """What AWS does not document."""

    close_code: int = Field(default=1001, description="Code of a close by the server; 1006 aborts.")
    ping_is_activity: bool = Field(
        default=True, description="Whether a ping frame keeps a connection from being idle."
    )
    lost_disconnects: Ratio = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of connections whose $disconnect never comes, so their rows stay; AWS "
        "calls it best effort.",
    )


class Options(Emulator):
    """One WebSocket API with the standard broadcast behind it, as the emulator implements it."""

    region: Text = Field(default="us-east-1", description="In signatures.")
    api_key: Secret = Field(
        default="",
        description="Key that the authorizer of $connect accepts, in the header Authorization or "
        "the query parameter of that name; empty accepts every client.",
    )
    iam_users: Annotated[tuple[IamUser, ...], Field(strict=False)] = Field(
        default=(IamUser(access_key_id="emulator", secret_access_key="emulator-local"),),  # noqa: S106 - guards nothing but a local emulator
        description="Whose signatures `@connections` accepts.",
    )
    route_selection_key: Text = Field(
        default="action", description="The route selection expression is $request.body.<this>."
    )
    routes: Annotated[tuple[Route, ...], Field(strict=False)] = Field(
        default=(
            Route(key="join", does="join"),
            Route(key="leave", does="leave"),
            Route(key="sendmessage", does="broadcast"),
        ),
        description="The API's routes besides $connect and $disconnect.",
    )
    broadcast: Broadcast = Field(default=Broadcast(), description="How a message is fanned out.")
    quotas: Quotas = Field(default=Quotas(), description="Limits of the account and the API.")
    undocumented: Undocumented = Field(default=Undocumented(), description="What AWS does not say.")

    @property
    def client_key(self) -> str:
        """The API key; empty if every client is accepted."""
        return self.api_key
