"""The polling emulator, and commands to paste."""

from functools import partial
from pathlib import Path

from harness.emulation.emulated_service import Protocols
from harness.systems.polling import wire
from harness.systems.polling.emulator.http import HttpConnection, Site
from harness.systems.polling.emulator.service import Service
from harness.systems.polling.options import Options


class PollingEmulator(Service):
    """One process of the emulator."""

    HTTP_PATH = wire.PUBLISH_PATH
    REALTIME_PATH = wire.POLL_PATH

    def protocols(self, _application: Protocols) -> Protocols:
        """Return what makes the protocol of each connection: our own, which serves every path."""
        return partial(HttpConnection, Site(self, self.control))

    @staticmethod
    def try_it(http_url: str, _api_key: str, ca_file: Path | None) -> str:
        """Return a shell command that publishes one event to a running emulator."""
        trust = f" --cacert {ca_file}" if ca_file else ""
        address = http_url.replace("{channel}", "default/room-0")
        return f"curl{trust} -d '{{\"hello\":1}}' {address}"

    @staticmethod
    def client_settings(_options: Options, http_url: str) -> dict[str, str]:
        """Return settings for clients other than our own, by their title.

        Args:
            _options: How the emulator is set up.
            http_url: Where it takes publishes.
        """
        address = http_url.replace(wire.PUBLISH_PREFIX, wire.POLL_PREFIX)
        address = address.replace("{channel}", "default/room-0")
        return {"To poll:": f"curl '{address}'  # then '{address}?after=…' with what next says"}
