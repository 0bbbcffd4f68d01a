import socket

import pytest

from harness.core.errors import TargetUnreachableError
from harness.load.master.target import check_reachable


def test_listening_target_passes():
    """One TCP connection is enough."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check_reachable(f"ws://127.0.0.1:{listener.getsockname()[1]}/event/realtime")


def test_refusing_target_is_named_with_what_was_tried():
    """The error names the address, the finding and the attempt."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TargetUnreachableError) as caught:
        check_reachable(f"ws://127.0.0.1:{port}/event/realtime")
    expected = (
        f"127.0.0.1:{port}: connection refused (tried one TCP connection), "
        "a target must accept connections"
    )
    assert expected == str(caught.value).splitlines()[0]


def test_unknown_name_is_named():
    """A host that DNS does not know is an unreachable target."""
    with pytest.raises(TargetUnreachableError, match="does not resolve"):
        check_reachable("wss://no-such-host.invalid/event/realtime")
