"""TLS contexts of a server and of a client that trusts it."""

import ssl

import trustme


def tls_pair(host):
    """Return a server's context, with a certificate for ``host``, and its client's."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
