"""A certificate for this machine, with an authority that clients can be told to trust."""

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

HOSTS = ("localhost", "127.0.0.1", "::1")


class Certificate(NamedTuple):
    """Where a server's certificate lies.

    Attributes:
        ca_file: PEM of the authority; clients trust this one.
        server_file: PEM of the server's private key and its chain.
    """

    ca_file: Path
    server_file: Path


def make_certificate(folder: Path) -> Certificate:
    """Make an authority and a certificate for ``HOSTS`` in a folder only its owner may read."""
    authority = trustme.CA(organization_name="Emulator of the fan-out harness")
    certificate = Certificate(folder / "ca.pem", folder / "server.pem")
    authority.cert_pem.write_to_path(certificate.ca_file)
    issued = authority.issue_cert(*HOSTS)
    certificate.server_file.touch(mode=0o600)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate.server_file)
    return certificate


def server_tls(server_file: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(server_file)
    return context
