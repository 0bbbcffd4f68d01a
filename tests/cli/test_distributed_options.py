import socket

import pytest

from harness.cli.distributed import master_arguments
from harness.core.errors import MachineError
from tests.support.ports import free_port


@pytest.fixture
def taken_port():
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def made(**changes):
    settings = {
        "workers": None,
        "master": True,
        "expected": 2,
        "bind": ("127.0.0.1", 5557),
        "max_wait_s": 90.5,
        "allow_lost_workers": False,
        "measure_clocks": False,
    }
    return master_arguments(**settings | changes)


def test_master_is_told_to_locust_in_its_own_words():
    """How many to wait for, how long, and where."""
    expected = ["--master", "--expect-workers", "2", "--expect-workers-max-wait", "91"]
    port = free_port()
    expected += ["--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)]
    assert expected == made(bind=("127.0.0.1", port))


def test_run_of_this_machine_takes_none_of_it():
    """Nothing is bound, nobody is waited for."""
    assert [] == made(master=False, expected=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "*"])
def test_port_that_another_program_has_is_told(taken_port, host):
    """Before anything is started; two masters cannot share one."""
    with pytest.raises(MachineError, match="address already in use") as caught:
        made(bind=(host, taken_port))
    assert str(caught.value).startswith(f"master at {host}:{taken_port}: ")
    assert "choose another --bind-port" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"expected": None}, "--master without --expect-workers"),
        ({"master": False}, "--expect-workers without --master"),
        ({"workers": 3}, "--workers with --master"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(changes, complaint):
    """One sentence each."""
    with pytest.raises(MachineError, match=complaint):
        made(**changes)
