"""The emulator of AppSync Events as a pytest fixture, for tests of code that talks to the service.

Installed with the package: a test asks for ``fanout_emulator``, and a ``conftest.py`` may override
``fanout_emulator_options``. See docs/emulator.md. All that is heavy is imported when a test asks.
"""

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.errors import ScenarioError, ScenarioProblem
from harness.core.own_requests import CONTROL_TOKEN_VARIABLE, TOKEN_HEADER

if TYPE_CHECKING:
    from harness.cli.emulated_api import Emulated

ANSWER_WITHIN_S = 10.0
OPTIONS = "fanout_emulator_options"


class FanoutEmulator:
    """A running emulator, as a test sees it.

    Attributes:
        http: Address for publishing over HTTP.
        realtime: Address for WebSockets.
        api_key: A key it accepts.
        ca_file: PEM of the authority to trust; None without TLS.
    """

    def __init__(self, emulated: "Emulated") -> None:
        self.http = emulated.http
        self.realtime = emulated.realtime
        self.api_key = emulated.api_key
        self.ca_file = emulated.ca_file
        self._trust = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # An emulator is never behind a proxy.
            urllib.request.HTTPSHandler(context=self._trust),
        )

    def stats(self) -> dict[str, Any]:
        """Return what it has counted since the test began."""
        counted: dict[str, Any] = self._ask("stats")
        return counted

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """Let these things go wrong from now on, in place of others; without any, nothing.

        Args:
            faults: As the tables ``[[emulator.faults]]`` of a target file:
                ``{"kind": "drop", "ratio": 0.1}``.

        Raises:
            ScenarioError: If one of them does not validate.
        """
        self._ask("faults", list(faults))

    def reset(self) -> None:
        """Let all counts begin anew; connections stay and so do faults."""
        self._ask("reset", {})

    def _ask(self, verb: str, body: object = None) -> Any:
        address = self.http.removesuffix("event") + f"_emulator/{verb}"
        data = None if body is None else json.dumps(body).encode()
        token = os.environ.get(CONTROL_TOKEN_VARIABLE, "")
        asked = urllib.request.Request(address, data, {TOKEN_HEADER: token})
        try:
            with self._opener.open(asked, timeout=ANSWER_WITHIN_S) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                errors = json.loads(refused.read()).get("errors", [])
            if not errors:
                raise
            problems = [
                ScenarioProblem("fanout_emulator", error["where"], "", error["message"])
                for error in errors
            ]
            raise ScenarioError(problems) from None


@pytest.fixture(scope="session")
def fanout_emulator_options() -> Mapping[str, Any]:
    """Return the ``[emulator]`` table of the emulator of these tests; override it to set keys."""
    return {}


@pytest.fixture(scope="session")
def _running_emulator(fanout_emulator_options: Mapping[str, Any]) -> Iterator[FanoutEmulator]:
    from harness.cli.emulated_api import Api, describe
    from harness.scenario.reading import validated
    from harness.scenario.target import Target
    from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
    from harness.systems.appsync_events.options import Options

    options = validated(OPTIONS, dict(fanout_emulator_options), Options)
    table = {"name": "pytest", "system": "appsync-events", "emulated": True, "emulator": options}
    namespace = {"channel_namespace": options.namespaces[0].name}
    target = Target.model_validate({**table, **namespace})
    with AppSyncEventsEmulator.start(options) as processes:
        yield FanoutEmulator(describe(Api(Path(), target, AppSyncEventsEmulator, processes)))


@pytest.fixture
def fanout_emulator(_running_emulator: FanoutEmulator) -> FanoutEmulator:
    """Return a running emulator of AppSync Events, without faults and with its counts at zero.

    It listens on a free port of loopback. One serves all tests of a session: give each test a
    channel of its own.
    """
    _running_emulator.faults()
    _running_emulator.reset()
    return _running_emulator
