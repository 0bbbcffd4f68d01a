"""The contract between the load side and a system's client.

Every system has a client that implements ``Client``. The load side drives it from a user's
greenlet, and receives deliveries, answers and the end through a ``Listener``.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from harness.core.errors import HarnessError, LocalProtocolError
from harness.core.hosts import is_here
from harness.core.json_rules import Rules, first_match, text_at
from harness.core.outside_text import outside_text

ABNORMAL_CODE = 1006
"""Close code of a connection that ended without a close frame. Source: RFC 6455, section 7.1.5."""

STALLED = "stalled"
"""Outcome of a connection that was silent for too long, whether it was dropped or not."""


class JoinError(HarnessError):
    """A join that failed at one stage, with a code of the system or the kernel.

    Attributes:
        stage: connect, tls, upgrade, init or subscribe.
        code: The system's own code, an HTTP status or an errno name.
        message: The system's own text.
        is_final: Whether the system's own clients do not retry after it.
        asked_wait_s: How long the system asked clients to wait; 0 if it did not.
    """

    def __init__(
        self,
        stage: str,
        code: str,
        message: str,
        *,
        is_final: bool = False,
        asked_wait_s: float = 0.0,
    ) -> None:
        code, message = outside_text(code), outside_text(message)
        super().__init__(f"join, stage {stage}", f"{code}: {message}", "a join must be accepted")
        self.stage = stage
        self.code = code
        self.message = message
        self.is_final = is_final
        self.asked_wait_s = asked_wait_s


@dataclass(slots=True)
class JoinTimes:
    """When each stage of one join ended; run host's realtime, ns.

    Attributes:
        start_ns: Before the TCP connect.
        stages_ns: Stage name to its duration; only the stages that the system has.
        confirmed_ns: When the kernel received the confirmation of the subscription, or of the
            connection if the user does not subscribe.
    """

    start_ns: int
    stages_ns: dict[str, int] = field(default_factory=dict)
    confirmed_ns: int = 0


class Refusal(NamedTuple):
    """Why a system did not do what it was asked for.

    Attributes:
        code: The system's own error code, or a short name for what it did.
        message: The system's own text.
        throttled: Whether it was refused by a rate limit.
        asked_wait_s: How long the system asks to wait; 0 if it does not.
        is_answered: Whether the system said so; else it may have done it all the same.
    """

    code: str
    message: str
    throttled: bool = False
    asked_wait_s: float = 0.0
    is_answered: bool = True

    @property
    def outcome(self) -> str:
        """What the record calls it."""
        if not self.is_answered:
            return "unanswered"
        return "throttled" if self.throttled else "refused"


def rejected(body: Any, reject: Rules) -> Refusal | None:
    """Return the refusal that an answer in JSON holds by a target's rules; None for none.

    An answer that is a list is one if any of its elements is.
    """
    for each in body if isinstance(body, list) else (body,):
        if key := first_match(each, reject):
            return Refusal(f"reject.{key}", text_at(each, key))
    return None


@dataclass(frozen=True, slots=True)
class PublishAnswer:
    """The system's answer to one publish.

    Attributes:
        publish_id: The id given to ``Client.publish``.
        accepted: Whether the system accepted every event of it.
        throttled: Whether it, or an event of it, was refused by a rate limit.
        code: The system's own error code, empty when accepted.
        message: The system's own text, empty when accepted.
        received_ns: When the answer reached the kernel; run host's realtime.
        outcomes: ``refused``, ``throttled`` or ``unanswered``, by the places of the events that
            were not accepted; empty where that is true of all of them.
        asked_wait_s: How long the system asks the chatter to wait; 0 if it does not.
    """

    publish_id: str
    accepted: bool
    throttled: bool
    code: str
    message: str
    received_ns: int
    outcomes: Mapping[int, str] = field(default_factory=dict)
    asked_wait_s: float = 0.0

    @classmethod
    def of(cls, publish_id: str, refusals: Mapping[int, Refusal], received_ns: int) -> Self:
        """Return the answer to a publish some events of which may have been refused.

        Args:
            publish_id: The id given to ``Client.publish``.
            refusals: By the place of the event; code and message of the first are kept.
            received_ns: When the last answer reached the kernel; run host's realtime.
        """
        if not refusals:
            return cls(publish_id, True, False, "", "", received_ns)
        first = next(iter(refusals.values()))
        return cls(
            publish_id,
            False,
            any(refusal.throttled for refusal in refusals.values()),
            first.code,
            first.message,
            received_ns,
            outcomes={place: refusal.outcome for place, refusal in refusals.items()},
            asked_wait_s=max(refusal.asked_wait_s for refusal in refusals.values()),
        )

    def __post_init__(self) -> None:
        if not self.accepted:  # An accepted one has no text, and there are many.
            object.__setattr__(self, "code", outside_text(self.code))
            object.__setattr__(self, "message", outside_text(self.message))


class Listener(Protocol):
    """Receives everything that happens on a client; called from I/O callbacks, must not block.

    Attributes:
        user_class: subscriber or chatter; a system may serve them differently.
    """

    user_class: str

    def delivered(self, known: Any, kernel_ns: int) -> None:
        """Bytes arrived that ``event`` has seen before and gave ``known`` for; the hot path."""

    def delivered_together(
        self, known: Any, listeners: Sequence[Any], stamps_ns: npt.NDArray[np.int64]
    ) -> None:
        """The same as ``delivered`` for several listeners of one class, itself among them.

        Args:
            known: What ``event`` gave for the bytes that each of them got.
            listeners: The listeners that got it.
            stamps_ns: When each got it, run host's realtime, shape (listeners,).
        """

    def event(self, payload: bytes, kernel_ns: int) -> Any | None:
        """Bytes arrived that are no answer of the protocol; the messages in them are searched for.

        Args:
            payload: The whole frame, event or body.
            kernel_ns: When it reached the kernel; run host's realtime.

        Returns:
            What ``delivered`` takes for equal bytes from now on; None if they must come here again.
        """

    def confirmed(self, kernel_ns: int) -> None:
        """The subscription, or the last of several, is confirmed: messages are owed from now on.

        Called from the I/O callback, before the joining greenlet runs, because events may follow in
        the same bytes.
        """

    def answered(self, answer: PublishAnswer) -> None:
        """The system answered a publish."""

    def ended(self, code: int, reason: str, kernel_ns: int, outcome: str = "") -> None:
        """The connection is over; called once, and not after ``Client.close``.

        Args:
            code: A WebSocket close code, or the closest one.
            reason: The text of the system, or of the kernel.
            kernel_ns: When it reached the kernel; run host's realtime.
            outcome: A system's own name for the end, such as ``stream_reset``; errors are then
                counted under it and not under ``code``.
        """

    def told_to_wait(self, wait_s: float) -> None:
        """The system asks clients to wait this long before they reconnect after a loss."""

    def refused(self, stage: str, code: str, message: str) -> None:
        """The system, or its bytes, raised an error that belongs to no publish."""


class Client(Protocol):
    """One user's connection to a system under test.

    A client that fetches its messages may also have ``fetch_within_s``: how long a message may take
    from the system to the client. A user who leaves stays as long, for what is under way.

    Attributes:
        heard_ns: When anything but a delivery last arrived; host's realtime.
        silence_limit_s: Silence after which, by the system's rules, a client disconnects; or None.
        stall_limit_s: Silence that is an error, although clients stay connected; or None.
    """

    heard_ns: int
    silence_limit_s: float | None
    stall_limit_s: float | None

    @property
    def open(self) -> bool:
        """Whether the socket is still held, a close under way included."""

    def join(self, deadline: float) -> JoinTimes:
        """Connect and subscribe in the calling greenlet; raises JoinError."""

    def publish(self, publish_id: str, channel: str, events: list[bytes]) -> None:
        """Send one publish without waiting for its answer; raises OSError when it cannot."""

    def pause(self, *, paused: bool) -> None:
        """Stop reading, or resume; unread bytes stay in the kernel."""

    def close(self) -> None:
        """Start to close; the socket closes when the system answers; ``ended`` is not called."""

    def drop(self) -> None:
        """Close the socket immediately."""


@dataclass(frozen=True, slots=True)
class Access:
    """How one worker reaches the system under test.

    Attributes:
        realtime: Address for the users' connections.
        http: Address for publishing over HTTP.
        api_key: The users' key; kept out of ``repr``, records and logs.
        tls: Context for encrypted addresses; None for one that checks certificates.
        source_addresses: Local addresses to connect from, in turn; none lets the kernel choose.
            Each is for destinations of its own family, on loopback or elsewhere.
        options: The target's ``[client]`` table, the system's own model of it; its defaults where
            the target has none.
        auth: The target's ``[auth]`` table, which names secrets and holds none; None for the key.
        may_connect: Returns whether load on an address, to which the system redirects, is allowed.
        worker: The worker's number: each begins with another address of a host.
        through_proxy: Whether a proxy that the environment names is used.
    """

    realtime: str
    http: str
    api_key: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    source_addresses: Sequence[str] = ()
    options: Any = None
    auth: Any = None
    may_connect: Callable[[str], bool] = is_here
    worker: int = 0
    through_proxy: bool = True


class Api(Protocol):
    """A system as one worker uses it: addresses resolved, credentials ready."""

    def client(
        self, channels: Sequence[str], frame_cache: dict[bytes, Any], listener: Listener
    ) -> Client:
        """Return a client for one user, not yet connected.

        Args:
            channels: Paths of the different channels it subscribes to on its one connection; none
                for a user that only publishes. The only path may be a wildcard, ``/default/*``.
                More than one, or a wildcard, only if the ``System`` and the target support it.
            frame_cache: Bytes already understood, shared by the users of one class.
            listener: Receives deliveries, answers and the end.
        """

    def publish_over_http(
        self, publish_id: str, channel: str, events: list[bytes]
    ) -> PublishAnswer:
        """POST one publish in the calling greenlet and return its answer; raises OSError."""

    def close(self) -> None:
        """Release everything but the clients, which are closed separately."""


ApiFactory = Callable[[Access], Api]
"""What a system's client module provides: its ``Api`` class."""


def only_channel(channels: Sequence[str]) -> str | None:
    """Return the channel of a client that subscribes to one or none: for systems with no more.

    Raises:
        LocalProtocolError: If there are several; such a plan is refused before it runs.
    """
    if len(channels) > 1:
        raise LocalProtocolError("client", f"{len(channels)} channels", "one at most is possible")
    return channels[0] if channels else None
