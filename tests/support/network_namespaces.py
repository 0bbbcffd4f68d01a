"""Network namespaces joined by a bridge, for as long as a test needs them."""

import contextlib
import shutil
import subprocess
import sys
import uuid
from typing import Self

import pytest

BRIDGE_WAIT_S = 10.0


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=BRIDGE_WAIT_S)


def why_not() -> str:
    """Return why namespaces cannot be made here, "" where they can."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        return "there is no ip command"
    name = f"h{uuid.uuid4().hex[:8]}"
    try:
        _ip("netns", "add", name)
    except (subprocess.SubprocessError, OSError) as error:
        return f"network namespaces may not be made here ({error})"
    _ip("netns", "del", name)
    return ""


needed = pytest.mark.skipif(bool(why_not()), reason=why_not() or "they can be made")


class Network:
    """Namespaces that reach each other and nothing else.

    They are joined inside a namespace of their own, so that the machine's own network never sees
    them. The first has address 10.77.0.1, the second 10.77.0.2, and so on.
    """

    def __init__(self, count: int) -> None:
        mark = uuid.uuid4().hex[:6]
        self._middle = f"h{mark}m"
        self.names = [f"h{mark}n{place}" for place in range(count)]

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def _make(self) -> None:
        for name in (self._middle, *self.names):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", self._middle, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._middle, "link", "set", "bridge", "up")
        for place, name in enumerate(self.names):
            port = f"port{place}"
            peer = ("peer", "name", "out", "netns", name)
            _ip("-n", self._middle, "link", "add", port, "type", "veth", *peer)
            _ip("-n", self._middle, "link", "set", port, "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"{self.address(place)}/24", "dev", "out")
            _ip("-n", name, "link", "set", "out", "up")

    def address(self, place: int) -> str:
        """Return the address of a namespace."""
        return f"10.77.0.{place + 1}"

    def inside(self, place: int, *command: object) -> list[str]:
        """Return a command that runs inside a namespace."""
        return ["ip", "netns", "exec", self.names[place], *map(str, command)]

    def delay(self, place: int, delay_ms: int, jitter_ms: int) -> None:
        """Delay all that leaves a namespace; raises where the kernel has no netem."""
        qdisc = ["qdisc", "add", "dev", "out", "root", "netem", "delay"]
        words = self.inside(place, "tc", *qdisc, f"{delay_ms}ms", f"{jitter_ms}ms")
        subprocess.run(words, check=True, capture_output=True, timeout=BRIDGE_WAIT_S)

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for name in (*self.names, self._middle):
            with contextlib.suppress(subprocess.SubprocessError):
                _ip("netns", "del", name)


def has_netem() -> bool:
    """Say whether the kernel can delay packets by itself."""
    if why_not() or shutil.which("tc") is None:
        return False
    with Network(1) as network:
        try:
            network.delay(0, 1, 0)
        except subprocess.SubprocessError:
            return False
    return True
