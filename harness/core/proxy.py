"""The proxy that the environment names for an address, if there is one.

The variables are those of curl, read by Python's own functions: ``HTTPS_PROXY`` (https, wss),
``HTTP_PROXY`` (http, ws), ``ALL_PROXY`` and ``NO_PROXY``, or the same in lower case, which goes
first. Source: docs.python.org/3/library/urllib.request.html, "getproxies", and libcurl-env(3), read
November 2026.
"""

import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.hosts import authority, is_loopback
from harness.core.outside_text import register_secret
from harness.core.secrets import basic_authorization

_VARIABLES: Final = {
    "https": ("https", "all"),
    "http": ("http", "all"),
    "wss": ("wss", "https", "all"),
    "ws": ("ws", "http", "all"),
}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; as a text, host and port alone.

    Attributes:
        authorization: Value of ``Proxy-Authorization``; empty without user and password.
    """

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        return authority(self.host, self.port)


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; None for this machine's own addresses, whatever is set.

    Raises:
        ScenarioError: If the variable names another kind of proxy, or no port.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies_environment()
    names = [name for name in _VARIABLES.get(parts.scheme, ("all",)) if name in proxies]
    if not names or is_loopback(host):
        return None
    if any(proxy_bypass(each, proxies) for each in (host, f"{host}:{parts.port}")):
        return None
    return _proxy(f"{names[0]}_proxy", proxies[names[0]])


def _proxy(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _unusable(variable, "something else") from None
    if parts.scheme != "http":
        raise _unusable(variable, f"{parts.scheme}://…")
    if not host or not port:
        raise _unusable(variable, "no host" if port else "no port")
    register_secret("PROXY_PASSWORD", unquote(parts.password or ""))
    return Proxy(host, port, basic_authorization(parts))


def _unusable(variable: str, found: str) -> ScenarioError:
    # The value may hold a password, so it is not shown.
    return ScenarioError(
        [
            ScenarioProblem(
                file="environment",
                key=variable if variable in os.environ else variable.upper(),
                found=found,
                rule="must be http://host:port, with user:password@ before the host if needed",
                hint="other kinds of proxies are not supported; unset it, or add the target's host "
                "to NO_PROXY",
            )
        ]
    )
