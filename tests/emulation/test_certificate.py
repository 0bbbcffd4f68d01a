import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness.core.errors import MachineError
from harness.emulation.certificate import (
    kept_certificate,
    make_certificate,
    provide_certificate,
    server_tls,
)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_client_that_trusts_the_authority_accepts_each_name_of_this_machine(tmp_path, host):
    """A full handshake succeeds, with host name checking on."""
    certificate = make_certificate(tmp_path)
    ours, theirs = socket.socketpair()

    def greet():
        context = server_tls(certificate.server_file)
        with context.wrap_socket(theirs, server_side=True) as connection:
            connection.sendall(b"hello")

    server = threading.Thread(target=greet)
    server.start()
    context = ssl.create_default_context(cafile=certificate.ca_file)
    with context.wrap_socket(ours, server_hostname=host) as connection:
        assert b"hello" == connection.recv(5)
    server.join()


def test_private_key_is_readable_by_its_owner_only(tmp_path):
    """Group and others have no rights on the server's file."""
    assert 0o600 == make_certificate(tmp_path).server_file.stat().st_mode & 0o777


def names(file):
    """Return the names and addresses that a certificate is for."""
    leaf = x509.load_pem_x509_certificates(file.read_bytes())[0]
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def test_certificate_lasts_as_long_as_the_strictest_clients_allow(tmp_path):
    """Apple's refuse more than 825 days, whoever signed."""
    leaf = x509.load_pem_x509_certificates(make_certificate(tmp_path).server_file.read_bytes())[0]
    assert timedelta(days=800) < leaf.not_valid_after_utc - datetime.now(UTC) < timedelta(days=825)


def test_key_of_the_authority_is_written_nowhere(tmp_path):
    """Whoever reads the folder can serve one certificate and sign no other."""
    make_certificate(tmp_path)
    files = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert {"ca.pem", "server.pem"} == files.keys()
    assert 0 == files["ca.pem"].count("PRIVATE KEY")
    key = serialization.load_pem_private_key(files["server.pem"].encode(), None)
    assert x509.load_pem_x509_certificate(files["ca.pem"].encode()).public_key() != key.public_key()


@pytest.mark.parametrize(
    ("host", "name"),
    [("192.0.2.7", "192.0.2.7"), ("0.0.0.0", socket.gethostname()), ("::", socket.gethostname())],
)
def test_certificate_names_the_address_listened_on_besides_loopback(tmp_path, host, name):
    """On all addresses the machine has its name."""
    found = names(make_certificate(tmp_path, host).server_file)
    assert {"localhost", "127.0.0.1", "::1", name} == found


def test_certificate_that_is_kept_is_the_same_at_the_next_start(tmp_path):
    """Trust is set once: both starts hand out one authority; without a folder each has its own."""
    kept_in, folders = tmp_path / "kept" / "here", [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    kept = [provide_certificate(folder, "127.0.0.1", str(kept_in)) for folder in folders[:2]]
    new = [provide_certificate(folder, "127.0.0.1", None) for folder in folders[2:]]
    authorities = [certificate.ca_file.read_bytes() for certificate in (*kept, *new)]
    assert 3 == len(set(authorities))
    assert authorities[0] == authorities[1] == kept_certificate(str(kept_in)).ca_file.read_bytes()
    assert 0o700 == kept_in.stat().st_mode & 0o777
    assert [0o600] * 4 == [c.server_file.stat().st_mode & 0o777 for c in (*kept, *new)]


def test_kept_certificate_for_another_address_is_refused(tmp_path):
    """The error names both, and how to get another."""
    kept_in = tmp_path / "kept"
    provide_certificate(tmp_path, "127.0.0.1", str(kept_in))
    with pytest.raises(MachineError) as refused:
        provide_certificate(tmp_path, "192.0.2.7", str(kept_in))
    expected = (
        f"{kept_in}/server.pem: a certificate for 127.0.0.1, ::1, localhost, "
        f"one for 192.0.2.7 is required\n"
        f"hint: remove {kept_in} to have another made, which clients must trust anew"
    )
    assert expected == str(refused.value)


def test_kept_certificate_that_has_run_out_is_refused(tmp_path):
    """No client would accept it."""
    authority = trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    issued = authority.issue_cert("localhost", not_after=yesterday)
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with pytest.raises(MachineError, match=f"ran out on {yesterday:%Y-%m-%d}"):
        provide_certificate(tmp_path, "localhost", str(tmp_path))


@pytest.mark.parametrize("text", [b"", b"hello", b"\xff\xfe"])
def test_kept_file_that_is_no_certificate_is_refused(tmp_path, text):
    """Told in words, whatever it is."""
    (tmp_path / "server.pem").write_bytes(text)
    with pytest.raises(MachineError, match="something else, a private key and"):
        provide_certificate(tmp_path, "localhost", str(tmp_path))


def test_folder_that_cannot_be_made_is_told(tmp_path):
    """A file stands in the way."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(MachineError, match="a certificate is kept here"):
        provide_certificate(tmp_path, "localhost", str(tmp_path / "file" / "kept"))
