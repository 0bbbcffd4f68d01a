import socket
import ssl
import threading

import pytest

from harness.emulation.certificate import make_certificate, server_tls


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
