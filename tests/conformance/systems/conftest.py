"""One emulator a system, shared by all of its tests."""

import pytest

from tests.support.system_driver import Stand, emulated_systems


@pytest.fixture(scope="session", params=emulated_systems())
def emulated(request, tmp_path_factory):
    """The emulator of each system in turn."""
    stand = Stand(request.param, tmp_path_factory.mktemp(request.param))
    yield stand
    stand.stop()


@pytest.fixture
def stand(emulated):
    """The emulator with nobody on it and nothing going wrong."""
    yield emulated
    emulated.clear()


@pytest.fixture(scope="session", params=emulated_systems())
def encrypted(request, tmp_path_factory):
    """The emulator of each system, over TLS with a certificate of its own."""
    folder = tmp_path_factory.mktemp(f"{request.param}-tls")
    stand = Stand(request.param, folder, "target.emulator.tls=true")
    yield stand
    stand.clear()
    stand.stop()
