import errno
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from harness.scenario.loading import load_scenario
from harness.scenario.target import variables_of
from tests.scenario.conftest import REAL_TARGET

PASSWORD = "a-pass-word"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Certificates and keys in the working directory, by the names that they have there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RIGHT", PASSWORD)
    monkeypatch.setenv("WRONG", "x" * 2000)
    monkeypatch.delenv("UNSET", raising=False)
    authority = trustme.CA()
    ours, other = authority.issue_cert("client.test"), authority.issue_cert("other.test")
    ours.cert_chain_pems[0].write_to_path("ours.crt")
    ours.private_key_pem.write_to_path("ours.key")
    ours.private_key_and_cert_chain_pem.write_to_path("both.pem")
    other.private_key_pem.write_to_path("other.key")
    key = serialization.load_pem_private_key(ours.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    (tmp_path / "locked.key").write_bytes(encrypted)
    (tmp_path / "garbage").write_text("garbage", encoding="utf-8")
    return tmp_path


def flags(certificate, key=None, variable=None):
    """Return the ``[tls]`` table as overrides."""
    named = {"certificate": certificate, "key": key, "key_password_env": variable}
    return [f"target.tls.client_{name}={value}" for name, value in named.items() if value]


@pytest.mark.parametrize(
    "named", [("both.pem",), ("ours.crt", "ours.key"), ("ours.crt", "locked.key", "RIGHT")]
)
def test_certificate_with_its_key_is_accepted(scenario, files, named):
    """In one file or two; the paths become absolute."""
    tls = scenario.plan(*flags(*named)).target.tls
    assert str(files / named[0]) == tls.client_certificate


@pytest.mark.parametrize(
    ("named", "key", "rule"),
    [
        (
            ("garbage",),
            "client_certificate",
            "must hold a certificate in PEM format, and its key unless client_key does",
        ),
        (
            ("ours.crt",),
            "client_certificate",
            "must hold a certificate in PEM format, and its key unless client_key does",
        ),
        (("ours.crt", "other.key"), "client_key", "must hold the key of the certificate"),
        (
            ("ours.crt", "locked.key"),
            "client_key",
            "must hold a key without password unless client_key_password_env is given",
        ),
        (
            ("ours.crt", "locked.key", "WRONG"),
            "client_key_password_env",
            "must name a variable that holds the password of the key",
        ),
        (
            ("ours.crt", "locked.key", "UNSET"),
            "client_key_password_env",
            "must name an environment variable that is set",
        ),
        (("ours.crt", "absent.key"), "client_key", "must be a file that exists"),
    ],
)
def test_certificate_that_clients_cannot_present_is_refused(scenario, files, named, key, rule):
    """Before anything is run, by the key of the file that is wrong, and once."""
    (complaint, *_) = scenario.complaint(*flags(*named)).splitlines()
    assert complaint.startswith(f"--set: target.tls.{key} {rule}, got ")


def test_key_needs_a_certificate(scenario, files):
    """A key alone is a slip."""
    (complaint, *_) = scenario.complaint("target.tls.client_key=ours.key").splitlines()
    expected = "target.tls.client_key must not be given without client_certificate"
    assert expected in complaint


def test_file_that_may_not_be_read_is_refused(scenario, files, monkeypatch):
    """With what the system says."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ssl.SSLContext.load_cert_chain", refuse)
    expected = "client_certificate must name files that can be read (permission denied), got "
    assert expected in scenario.complaint(*flags("both.pem"))


def test_password_need_not_be_set_to_check_one_file(files, write):
    """Its variable is among those that a run will need."""
    tls = '[tls]\nclient_certificate = "{}"\nclient_key = "{}"\nclient_key_password_env = "UNSET"\n'
    text = REAL_TARGET + tls.format(files / "ours.crt", files / "locked.key")
    target: Any = load_scenario(write("target.toml", text))
    assert "UNSET" in variables_of(target)
