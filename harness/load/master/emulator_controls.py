"""Ask a running emulator what it did, and tell it what shall go wrong."""

import json
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from harness.load.worker_protocol import Endpoints
from harness.scenario.emulator import FAULTS_PATH, LOG_PATH, STATS_PATH

ANSWER_WITHIN_S = 5.0


class EmulatorControls:
    """The control paths of one emulator, beside those of the system it plays.

    Args:
        endpoints: Where it answers.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        parts = urlsplit(endpoints.http)
        self._base = (parts.scheme, parts.netloc)
        self._tls = (
            ssl.create_default_context(cafile=endpoints.ca_file)
            if parts.scheme == "https"
            else None
        )

    def tell_faults(self, faults: list[dict[str, Any]]) -> None:
        """Have it play these faults from now on and no others; raises OSError when it does not."""
        self._ask(FAULTS_PATH, json.dumps(faults).encode())

    def ground_truth(self) -> dict[str, Any]:
        """Return its counts, and the log of what its faults hit; raises OSError when it cannot."""
        return {"stats": self._ask(STATS_PATH), "log": self._ask(LOG_PATH)}

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        url = urlunsplit((*self._base, path, "", ""))
        request = urllib.request.Request(url, body)  # noqa: S310 - the emulator's own address
        with urllib.request.urlopen(  # noqa: S310 - as above
            request, timeout=ANSWER_WITHIN_S, context=self._tls
        ) as response:
            try:
                return json.load(response)
            except ValueError as error:
                raise OSError(f"{path} answered what is no JSON") from error
