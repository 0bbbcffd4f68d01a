"""A certificate for this machine, with an authority that clients can be told to trust.

The authority's key is never written down: to trust the authority is to trust one certificate.
"""

import ipaddress
import shutil
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme
from cryptography import x509

from harness.core.errors import MachineError

HOSTS = ("localhost", "127.0.0.1", "::1")

LIFETIME = timedelta(days=820)
"""Apple's clients refuse what lasts more than 825 days. Source: support.apple.com/103769."""

CA_FILE = "ca.pem"
SERVER_FILE = "server.pem"


class Certificate(NamedTuple):
    """Where a server's certificate lies.

    Attributes:
        ca_file: PEM of the authority; clients trust this one.
        server_file: PEM of the server's private key and its chain.
    """

    ca_file: Path
    server_file: Path


def provide_certificate(folder: Path, host: str, kept_in: str | None) -> Certificate:
    """Put a certificate into ``folder``, which only its owner may read.

    Args:
        folder: Where to put it.
        host: Address the server listens on.
        kept_in: Folder it is kept in from one start to the next: it is made there where it is not
            there yet, and copied. None makes a new one.

    Raises:
        MachineError: If the one that is kept cannot be read, has run out or is not for ``host``.
    """
    if kept_in is None:
        return make_certificate(folder, host)
    kept = kept_certificate(kept_in)
    try:
        if not kept.server_file.exists():
            kept.server_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_certificate(kept.server_file.parent, host)
        _check(kept.server_file, host)
        for file in kept:
            shutil.copy(file, folder)  # With its mode.
    except OSError as error:
        found = str(error.strerror).lower()
        raise MachineError(str(error.filename), found, "a certificate is kept here") from error
    return Certificate(folder / CA_FILE, folder / SERVER_FILE)


def kept_certificate(kept_in: str) -> Certificate:
    """Return where a certificate is kept from one start to the next."""
    folder = Path(kept_in).expanduser().absolute()
    return Certificate(folder / CA_FILE, folder / SERVER_FILE)


def make_certificate(folder: Path, host: str = HOSTS[0]) -> Certificate:
    """Make an authority and a certificate for ``HOSTS`` and one more, which may be one of them.

    They are written into ``folder``; the private key so that only its owner may read it.
    """
    authority = trustme.CA(organization_name="Emulator of the fan-out harness")
    certificate = Certificate(folder / CA_FILE, folder / SERVER_FILE)
    expires = datetime.now(UTC) + LIFETIME
    issued = authority.issue_cert(*dict.fromkeys((*HOSTS, _name(host))), not_after=expires)
    certificate.server_file.touch(mode=0o600)
    authority.cert_pem.write_to_path(certificate.ca_file)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate.server_file)
    return certificate


def _name(host: str) -> str:
    """Return what others call a host: one that listens on all addresses has the machine's name."""
    return socket.gethostname() if host in {"0.0.0.0", "::"} else host


def _check(server_file: Path, host: str) -> None:
    """Raise unless a kept certificate can serve a host today."""
    hint = f"remove {server_file.parent} to have another made, which clients must trust anew"
    try:
        leaf = x509.load_pem_x509_certificates(server_file.read_bytes())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        required = "a private key and a certificate in PEM form required"
        raise MachineError(str(server_file), "something else", required, hint) from error
    expires = leaf.not_valid_after_utc
    if expires <= datetime.now(UTC):
        found = f"ran out on {expires:%Y-%m-%d}"
        raise MachineError(str(server_file), found, "a valid certificate is required", hint)
    served = {*names.get_values_for_type(x509.DNSName)}
    served |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    if _plain(_name(host)) not in served:
        found = f"a certificate for {', '.join(sorted(served))}"
        raise MachineError(str(server_file), found, f"one for {_name(host)} is required", hint)


def _plain(host: str) -> str:
    """Return an address in its shortest form; a name as it is."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def server_tls(server_file: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Without tickets nothing arrives that no client asked for, at a moment of its own choosing:
    # clients that read and write in two threads have been seen to break over it.
    context.num_tickets = 0
    context.load_cert_chain(server_file)
    return context
