"""Locust's channel between master and workers, closed to processes without the run's secret.

A process without a secret talks to others without one, as plain Locust does.
"""

import logging
from functools import cache
from typing import Any

import gevent
import zmq
from locust.exception import RPCError
from locust.rpc.zmqrpc import BaseSocket
from zmq.utils.monitor import parse_monitor_message

from harness.load.internal_errors import on_death
from harness.load.preflight import print_message
from harness.load.run_secret import REFUSED, RUN_SECRET, VARIABLE, encrypt

_LOG = logging.getLogger(__name__)


class Strangers:
    """Counts connections and messages that were refused in this process.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self.count = 0

    def watch(self, socket: Any) -> None:
        """Start to count connections to a socket that fail the handshake."""
        on_death(gevent.spawn(self._count_refused, socket), self._not_counted)

    def _count_refused(self, socket: Any) -> None:
        monitor = socket.get_monitor_socket(REFUSED)
        while parse_monitor_message(monitor.recv_multipart())["event"] == REFUSED:
            self.count += 1

    def _not_counted(self, sentence: str) -> None:
        _LOG.warning("connections without the run's secret are counted no more: %s", sentence)

    def warnings(self) -> list[dict[str, Any]]:
        """Return the warning of the record, if there is any."""
        if not self.count:
            return []
        observed = f"{self.count} connections or messages without the run's secret were ignored"
        hint = f"another process connects to the master's port; workers need {VARIABLE}"
        return [_warning("strangers_ignored", observed, hint)]


STRANGERS = Strangers()


def warn_of_open_channel() -> list[dict[str, Any]]:
    """Print and return the warning of a master without a secret; none where it has one."""
    if RUN_SECRET.text:
        return []
    observed = "any process that reaches the master's port can take part in the run"
    hint = f"set {VARIABLE} for master and workers"
    print_message(f"warning: {observed}\nhint: {hint}")
    return [_warning("channel_open", observed, hint)]


def _warning(code: str, observed: str, hint: str) -> dict[str, Any]:
    return {
        "code": code,
        "observed": observed,
        "limit": None,
        "hint": hint,
        "invalidates": False,
    }


@cache
def secure_channel() -> None:
    """Have every socket that Locust makes in this process use the secret of the environment."""
    RUN_SECRET.take()
    base: Any = BaseSocket
    make, receive = base.__init__, base.recv_from_client

    def __init__(self: Any, sock_type: int, ipv4_only: bool) -> None:  # noqa: N807, FBT001 - Locust's
        make(self, sock_type, ipv4_only)
        if RUN_SECRET.text:
            encrypt(self.socket, RUN_SECRET.text)
        if sock_type == zmq.ROUTER:
            STRANGERS.watch(self.socket)

    def recv_from_client(self: Any) -> Any:
        while True:
            try:
                return receive(self)
            except RPCError:
                raise
            except Exception:  # noqa: BLE001 - whatever the bytes of a stranger raise
                STRANGERS.count += 1

    base.__init__, base.recv_from_client = __init__, recv_from_client
