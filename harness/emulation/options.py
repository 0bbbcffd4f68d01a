"""How an emulator is set up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """The options of a target's ``[emulator]`` table.

    Attributes:
        processes: Processes that share the port.
        tls: Whether it speaks https and wss, with a certificate made when it starts.
        port: TCP port; 0 takes any free one.
        namespaces: First segments of the channels that exist.
        api_keys: Keys let in. They guard nothing but a local emulator.
        keep_alive_s: Time between two keep-alive messages.
        connection_timeout_ms: Silence after which it tells clients to give up.
        host: Address it listens on.
        subscriber_buffer_bytes: Bytes one subscriber may leave unread, besides what the kernel
            holds for it, before it is disconnected.
    """

    processes: int = 1
    tls: bool = False
    port: int = 0
    namespaces: tuple[str, ...] = ("default",)
    api_keys: tuple[str, ...] = ("da2-emulator-local",)
    keep_alive_s: float = 60.0
    connection_timeout_ms: int = 300_000
    host: str = "127.0.0.1"
    subscriber_buffer_bytes: int = 4 * 1024 * 1024
