"""Find the master before Locust starts, which says little of what is wrong while it waits."""

import socket
import time
from collections.abc import Callable

from harness.core.errors import MachineError

SAY_EVERY_S = 10.0
TRY_EVERY_S = 0.5
ANSWER_WITHIN_S = 5.0
_SIGNATURE_BYTES = 10
_FIRST, _LAST = 0xFF, 0x7F
"""What ZeroMQ sends to whoever connects begins and ends so.

Source: rfc.zeromq.org/spec/23, section "Grammar": signature = %xFF padding %x7F.
"""


def wait_for_master(host: str, port: int, within_s: float, say: Callable[[str], None]) -> None:
    """Return once a master answers at an address.

    Args:
        host: Name or address; it may come to be known only while this waits.
        port: Its port.
        within_s: How long to try.
        say: Tells the user something.

    Raises:
        MachineError: If something else answers there, or nobody in time.
    """
    began_s = said_s = time.monotonic()
    while (problem := _problem(host, port)) is not None:
        now_s = time.monotonic()
        if now_s - began_s > within_s:
            required = f"a master must answer within {within_s:g} s"
            hint = "see that harness run --master is running there, and that its port is open"
            raise MachineError(f"master {host}:{port}", problem, required, hint)
        if now_s - said_s > SAY_EVERY_S:
            said_s = now_s
            say(f"still waiting for {host}:{port}: {problem}")
        time.sleep(TRY_EVERY_S)


def _problem(host: str, port: int) -> str | None:
    """Return why there is no master yet, None where there is one."""
    try:
        with socket.create_connection((host, port), ANSWER_WITHIN_S) as connection:
            greeting = connection.recv(_SIGNATURE_BYTES, socket.MSG_WAITALL)
    except TimeoutError:
        return f"no answer within {ANSWER_WITHIN_S:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not greeting:
        return "the connection was closed at once"
    if greeting[0] != _FIRST or greeting[-1] != _LAST or len(greeting) != _SIGNATURE_BYTES:
        required = "a master of harness or Locust must"
        raise MachineError(f"{host}:{port}", "something else answers there", required)
    return None
