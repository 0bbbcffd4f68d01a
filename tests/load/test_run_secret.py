"""Master and workers share a secret; a handshake shows whether they do."""

import contextlib
import os

import pytest
import zmq

from harness.core.errors import MachineError
from harness.load.run_secret import VARIABLE, encrypt, master_knows, secret_file, share_secret
from tests.support.programs import finished_python
from tests.support.waiting import PATIENCE_S

SECRET, OTHER = "the-secret-of-a-test", "another-secret-of-a-test"


@pytest.fixture(autouse=True)
def own_configuration(monkeypatch, tmp_path):
    """A user who has no secret yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(VARIABLE, "")


@contextlib.contextmanager
def master(secret):
    """Provide the port of a master's socket."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        if secret:
            encrypt(socket, secret)
        yield socket.bind_to_random_port("tcp://127.0.0.1")


@pytest.mark.parametrize(("theirs", "same"), [(SECRET, True), (OTHER, False), ("", False)])
def test_handshake_succeeds_with_the_same_secret_alone(theirs, same):
    """A master with another secret, or none, is refused before Locust starts."""
    with master(theirs) as port:
        assert master_knows(SECRET, "127.0.0.1", port, PATIENCE_S) is same


def test_secret_of_the_user_is_made_once_and_is_private():
    """Master and workers of one user on one machine need nothing else."""
    share_secret(None)
    first = os.environ[VARIABLE]
    os.environ[VARIABLE] = ""
    share_secret(None)

    assert os.environ[VARIABLE] == first
    assert secret_file().stat().st_mode & 0o777 == 0o600
    assert len(first) == 64


def test_file_comes_before_the_environment_and_the_environment_before_the_users_own(tmp_path):
    """The nearest to the command decides."""
    os.environ[VARIABLE] = SECRET
    share_secret(None)
    assert os.environ[VARIABLE] == SECRET
    assert not secret_file().exists()

    file = tmp_path / "secret"
    file.write_text(f"{OTHER}\n", encoding="utf-8")
    share_secret(file)
    assert os.environ[VARIABLE] == OTHER


def test_secret_that_cannot_be_read_or_is_short_is_refused_in_one_sentence(tmp_path):
    """The sentence names the file and quotes nothing of it."""
    with pytest.raises(MachineError, match=r"missing: cannot be used \(no such file"):
        share_secret(tmp_path / "missing")
    (tmp_path / "short").write_text("abc", encoding="utf-8")
    with pytest.raises(MachineError, match="holds 3 characters, at least 16 are required"):
        share_secret(tmp_path / "short")


def test_secret_is_not_inherited_by_what_a_load_process_starts():
    """A command that prints tokens, the emulator and the report have no use for it."""
    program = (
        "import os, harness.load.locustfile\n"
        "from harness.load.run_secret import RUN_SECRET, VARIABLE\n"
        "print(RUN_SECRET.text, os.environ.get(VARIABLE))"
    )
    variables = os.environ | {VARIABLE: SECRET}
    assert finished_python("-c", program, env=variables).stdout.split() == [SECRET, "None"]
