"""One emulator a system, shared by all of its tests."""

import pytest

from tests.conformance.systems.driving import Stand, targets_by_system

TARGETS = targets_by_system()


@pytest.fixture(scope="session", params=sorted(TARGETS))
def emulated(request, tmp_path_factory):
    """The emulator of each system in turn."""
    log_file = tmp_path_factory.mktemp(request.param) / "emulator.log"
    stand = Stand(request.param, TARGETS[request.param], log_file)
    yield stand
    stand.stop()


@pytest.fixture
def stand(emulated):
    """The emulator with nobody on it and nothing going wrong."""
    yield emulated
    emulated.clear()


@pytest.fixture(scope="session", params=sorted(TARGETS))
def encrypted(request, tmp_path_factory):
    """The emulator of each system, over TLS with a certificate of its own."""
    log_file = tmp_path_factory.mktemp(f"{request.param}-tls") / "emulator.log"
    stand = Stand(request.param, TARGETS[request.param], log_file, "target.emulator.tls=true")
    yield stand
    stand.clear()
    stand.stop()
