"""The secret that master and workers of one run share: where it comes from, and the keys it gives.

Their ZeroMQ sockets are encrypted and authenticated with CURVE (rfc.zeromq.org/spec/26). The
master's key pair is derived from the secret, and a client that does not know its public key cannot
complete the handshake.
"""

import contextlib
import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from harness.core.errors import MachineError
from harness.core.secrets import clean_secret
from harness.load.ownership import list_file

VARIABLE = "HARNESS_RUN_SECRET"
SHORTEST = 16
"""Characters of a secret at least."""

REFUSED = zmq.Event.HANDSHAKE_FAILED_PROTOCOL
"""What a monitor of a socket reports when the other side does not know the secret."""


class RunSecret:
    """The secret of this process's run, which the processes that it starts do not inherit.

    Attributes:
        text: The secret; empty where there is none.
    """

    def __init__(self) -> None:
        self.text = ""

    def take(self) -> None:
        """Take it out of the environment, if it is there."""
        self.text = os.environ.pop(VARIABLE, "") or self.text

    def make(self) -> None:
        """Make one for the workers that this process forks, unless it has one."""
        self.text = self.text or new_secret()


RUN_SECRET = RunSecret()


def new_secret() -> str:
    """Return a secret for one run."""
    return secrets.token_hex(32)


def secret_file() -> Path:
    """Return where the user's own secret is, for runs over several machines."""
    return list_file().with_name("run-secret")


def share_secret(file: Path | None) -> None:
    """Give the secret to the processes that this one starts, through their environment.

    Args:
        file: Holds the secret; None for that of the environment, or else the user's own, which is
            made where there is none.

    Raises:
        MachineError: If it cannot be read or is too short.
    """
    os.environ[VARIABLE] = _find_secret(file)


def _find_secret(file: Path | None) -> str:
    if file is None and (given := os.environ.get(VARIABLE)):
        return _checked(VARIABLE, given)
    place = file or secret_file()
    try:
        if file is None and not place.exists():
            _write_new(place)
        return _checked(str(place), place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "no text"
        found = f"cannot be used ({str(said).lower()})"
        rule = "master and workers must share the secret of the run"
        raise MachineError(str(place), found, rule, f"or set {VARIABLE}") from None


def _write_new(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=place.parent) as new:  # Readable by this user only.
        new.write(f"{new_secret()}\n")
        new.flush()
        with contextlib.suppress(FileExistsError):  # Another process was faster.
            os.link(new.name, place)


def _checked(where: str, text: str) -> str:
    secret = clean_secret(VARIABLE, text)
    if len(secret) < SHORTEST:
        found, rule = f"holds {len(secret)} characters", f"at least {SHORTEST} are required"
        raise MachineError(where, found, rule)
    return secret


def encrypt(socket: Any, secret: str) -> None:
    """Set the keys of a socket of master or worker that is neither bound nor connected yet."""
    private = z85.encode(hashlib.sha256(f"fan-out master {secret}".encode()).digest())
    if socket.type == zmq.ROUTER:
        socket.curve_server = True
        socket.curve_secretkey = private
        return
    socket.curve_serverkey = zmq.curve_public(private)
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()


def master_knows(secret: str, host: str, port: int, within_s: float) -> bool:
    """Return whether the master at an address completes a handshake with this secret.

    Args:
        secret: This process's.
        host: Name or address of the master.
        port: Its port.
        within_s: How long the handshake may take.
    """
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger, socket.ipv6 = 0, True
    encrypt(socket, secret)
    events = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    monitor = socket.get_monitor_socket(events | REFUSED)
    try:
        socket.connect(f"tcp://{host}:{port}")
        if not monitor.poll(round(within_s * 1000)):
            return False
        event: int = parse_monitor_message(monitor.recv_multipart())["event"]
        return event == zmq.Event.HANDSHAKE_SUCCEEDED
    finally:
        socket.disable_monitor()
        monitor.close(linger=0)
        socket.close()
        context.term()
