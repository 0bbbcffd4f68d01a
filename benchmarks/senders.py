"""The senders: the emulator for all receivers, and nchan for comparison."""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import string
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from benchmarks.programs import Program
from harness.core.message_token import MessageToken, MessageWriter
from harness.systems.appsync_events import wire

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = '{"text":"{message}"}'
FRAME_BYTES = 300
"""Payload of a delivery's frame."""
START_WITHIN_S = 60.0
PATIENCE_S = 30.0
"""Joining has ended when no user has joined for this long, even on a busy machine."""
KEEP_ALIVE_S = 3600.0
SUBSCRIPTION_ID = "s"
NAMESPACES = ("first", "second", "third", "fourth")
"""Channel namespaces beside "default", one for each run of the harness at the same time."""
NGINX_FOLDER = Path("/var/lib/nginx")
KEY_VARIABLE = "BENCHMARK_API_KEY"


def event_of(run_id: str, sequence: int) -> bytes:
    """Return one message, sent now, of the size that fills a frame."""
    now_ns = time.time_ns()
    token = MessageToken(1_000_000, sequence, now_ns, now_ns)
    writer = MessageWriter(run_id, TEMPLATE)
    text = writer.write(token)
    missing = FRAME_BYTES - len(wire.data(SUBSCRIPTION_ID, text.decode()))
    return writer.write(token, len(text) + missing)


class Sender(Protocol):
    """A server that fans out."""

    def send(self, channel: str, event: bytes) -> None:
        """Publish one event to all who listen on a channel."""

    def deliveries(self) -> int:
        """Return how many deliveries it has made so far, by its own count."""

    def pids(self) -> list[int]:
        """Return its processes."""

    def subscriptions(self) -> int:
        """Return how many subscriptions it holds."""


class System(Protocol):
    """What the harness can join: a server that one of its clients speaks to.

    Attributes:
        api_key: What its users show; empty where there is none.
    """

    api_key: str

    def target(self, namespace: str) -> str:
        """Return a target file; channels begin with the namespace."""


def wait_for(server: Sender, subscriptions: Callable[[], int]) -> int:
    """Wait for subscriptions for as long as there come more; return how many there are.

    Args:
        server: What holds them.
        subscriptions: How many are wanted, asked again and again: a receiver may end.
    """
    held = most = server.subscriptions()
    deadline = time.monotonic() + PATIENCE_S
    while held < subscriptions() and time.monotonic() < deadline:
        time.sleep(0.1)
        held = server.subscriptions()
        if held > most:
            most, deadline = held, time.monotonic() + PATIENCE_S
    return held


class Emulator(AbstractContextManager["Emulator"]):
    """The project's own emulator.

    Attributes:
        http: Address for publishing.
        realtime: Address for WebSockets.
        ca_file: PEM of its authority; None without TLS.
        subprotocols: The subprotocols that authorise a client.

    Args:
        folder: For its log.
        tls: Whether it speaks TLS only.
        processes: How many share its port.
        settings: Further fields of its table in the target.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool,
        processes: int = 1,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        target = ROOT / "scenarios/targets/appsync-events-emulated.toml"
        values = {
            "tls": str(tls).lower(),
            "processes": processes,
            "keep_alive_s": KEEP_ALIVE_S,
            "quotas.enabled": "false",  # Many receivers join at once, and nchan has none either.
            "namespaces": json.dumps(["default", *NAMESPACES]),
            **(settings or {}),
        }
        sets = [
            argument
            for name, value in values.items()
            for argument in ("--set", f"target.emulator.{name}={value}")
        ]
        command = [sys.executable, "-m", "harness", "emulate", str(target), *sets]
        log = folder / f"emulator-{'tls' if tls else 'plain'}.log"
        self._program = Program([*command, "--json", "--exit-with-parent"], log)
        try:
            printed = json.loads(self._program.wait_for("}\n", START_WITHIN_S))
        except BaseException:
            self._program.stop()
            raise
        self._pids: list[int] = printed["pids"]
        self.http: str = printed["http"]
        self.realtime: str = printed["realtime"]
        self.ca_file: str | None = printed["ca_file"]
        self.api_key: str = printed["api_key"]
        place = urlsplit(self.http)
        self.host, self.port = str(place.hostname), int(place.port or 0)
        authorization = {"host": self.host, wire.API_KEY_HEADER: self.api_key}
        self.subprotocols = [wire.SUBPROTOCOL, wire.auth_subprotocol(authorization)]
        self._client = http.client.HTTPConnection(self.host, self.port)
        if tls:
            context = ssl.create_default_context(cafile=self.ca_file)
            self._client = http.client.HTTPSConnection(self.host, self.port, context=context)

    def target(self, namespace: str) -> str:
        """Return a target file with which the harness joins; channels begin with the namespace."""
        trust = f'[tls]\nca_file = "{self.ca_file}"\n' if self.ca_file else ""
        return (
            f'name = "benchmark"\nsystem = "appsync-events"\nchannel_namespace = "{namespace}"\n'
            f'[endpoints]\nhttp = "{self.http}"\nrealtime = "{self.realtime}"\n'
            f'[auth]\napi_key_env = "{KEY_VARIABLE}"\n{trust}'
        )

    def texts(self, channel: str) -> list[str]:
        """Return what a client sends to subscribe."""
        authorization = {"host": self.host, wire.API_KEY_HEADER: self.api_key}
        subscribe = wire.subscribe(SUBSCRIPTION_ID, channel, authorization)
        return [wire.CONNECTION_INIT.decode(), subscribe.decode()]

    def send(self, channel: str, event: bytes) -> None:
        """Publish one event to all who listen on a channel."""
        body = wire.http_publish_body(channel, [event])
        headers = {wire.API_KEY_HEADER: self.api_key, "content-type": "application/json"}
        self._ask("POST", wire.HTTP_PATH, body, headers)

    def stats(self) -> dict[str, Any]:
        """Return everything it counts."""
        counted: dict[str, Any] = json.loads(self._ask("GET", "/_emulator/stats"))
        return counted

    def deliveries(self) -> int:
        """Return how many deliveries it has made so far, by its own count."""
        return int(self.stats()["deliveries"]["sent"])

    def subscriptions(self) -> int:
        """Return how many subscriptions it holds."""
        return int(self.stats()["subscriptions"])

    def pids(self) -> list[int]:
        """Return its processes."""
        return self._pids

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> bytes:
        self._client.request(method, path, body, headers or {})
        answer = self._client.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:200]!r}")
        return text

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._program.stop()


class Nchan(AbstractContextManager["Nchan"]):
    """nchan in nginx.

    Args:
        nginx: The program.
        module: nchan's shared object.
        folder: For its configuration, its log and its temporary files.
        listeners: How many listen on each of its channels; it counts no deliveries itself.
        workers: How many processes share the port.
    """

    def __init__(
        self, nginx: Path, module: Path, folder: Path, listeners: int, *, workers: int = 1
    ) -> None:
        self.host, self.port = "127.0.0.1", _free_port()
        self._deliveries, self._listeners = 0, listeners
        template = string.Template((ROOT / "benchmarks/peers/nginx.conf").read_text("utf-8"))
        values = {"module": module, "folder": folder, "port": self.port, "workers": workers}
        configuration = folder / "nginx.conf"
        configuration.write_text(template.substitute(values), encoding="utf-8")
        command = [*mount_prefix(), str(nginx), "-p", str(folder), "-e", str(folder / "error.log")]
        self._program = Program([*command, "-c", str(configuration)], folder / "nginx.log")
        self._client = http.client.HTTPConnection(self.host, self.port)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self._program.stop()
            raise

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            try:
                socket.create_connection((self.host, self.port)).close()
            except OSError:
                if not self._program.running or time.monotonic() > deadline:
                    raise RuntimeError(f"nginx {self._program.last_output()}") from None
                time.sleep(0.02)
            else:
                return

    def send(self, channel: str, event: bytes) -> None:
        """Publish the frame that the emulator would make of the event."""
        self.publish(channel, wire.data(SUBSCRIPTION_ID, event.decode()))

    def publish(self, channel: str, body: bytes) -> None:
        """Publish bytes to all who listen on a channel."""
        self._client.request("POST", f"/pub/{channel}", body)
        answer = self._client.getresponse()
        answer.read()
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"nchan answered {answer.status}: it has no subscribers")
        self._deliveries += self._listeners

    def subscriptions(self) -> int:
        """Return how many listen on all channels, by its status page."""
        self._client.request("GET", "/stats")
        text = self._client.getresponse().read().decode()
        found = re.search(r"^subscribers: (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0

    def deliveries(self) -> int:
        """Return messages published times listeners; nchan reports no deliveries."""
        return self._deliveries

    def pids(self) -> list[int]:
        """Return its processes."""
        return self._program.pids()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._program.stop()


class NchanStreams:
    """The same nchan, as a sender of server-sent events.

    Attributes:
        api_key: Empty: it asks for none.

    Args:
        nchan: Where they come from.
    """

    api_key = ""

    def __init__(self, nchan: Nchan) -> None:
        self._nchan = nchan
        self.deliveries, self.pids = nchan.deliveries, nchan.pids
        self.subscriptions = nchan.subscriptions

    def target(self, namespace: str) -> str:
        """Return a target file with which the harness joins; channels begin with the namespace."""
        base = f"http://{self._nchan.host}:{self._nchan.port}"
        return (
            'name = "benchmark-streams"\nsystem = "server-sent-events"\n'
            f'channel_namespace = "{namespace}"\n[auth]\nmode = "none"\n[endpoints]\n'
            f'http = "{base}/pub/{{channel}}"\nrealtime = "{base}/sub/{{channel}}"\n'
        )

    def send(self, channel: str, event: bytes) -> None:
        """Publish one event to all who listen on a channel."""
        self._nchan.publish(channel.lstrip("/"), event)


class NchanFrames(NchanStreams):
    """The same nchan, as the WebSocket API whose connection alone is the subscription.

    What it sends are the frames that the floor gets, to the byte.
    """

    def target(self, namespace: str) -> str:
        """Return a target file whose users all listen on the first room of the namespace."""
        place = f"{self._nchan.host}:{self._nchan.port}"
        room = f"{namespace}/room-0"
        return (
            'name = "benchmark-frames"\nsystem = "api-gateway-websocket"\n'
            f'channel_namespace = "{namespace}"\n[auth]\nmode = "none"\n[endpoints]\n'
            f'http = "http://{place}/pub/{room}"\nrealtime = "ws://{place}/sub/{room}"\n'
            '[client]\njoin_action = ""\nroute_responses = false\n'
        )

    def send(self, channel: str, event: bytes) -> None:
        """Publish one event to all who listen on a channel, in a frame."""
        self._nchan.send(channel.lstrip("/"), event)


def mount_prefix() -> list[str]:
    """Return a prefix that lets nginx have its folder where the package has not been installed.

    nchan insists on the folder that was built into nginx; a mount that only nginx sees has it.
    """
    unshare = shutil.which("unshare")
    if NGINX_FOLDER.exists() or unshare is None:
        return []
    mount = f'mount -t tmpfs none {NGINX_FOLDER.parent} && mkdir {NGINX_FOLDER} && exec "$@"'
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return [unshare, "--mount", *rights, "sh", "-c", mount, "sh"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
