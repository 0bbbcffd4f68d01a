"""The hybrid's target files: addresses of both systems, from the environment."""

import pytest

from harness.core.errors import ScenarioError
from harness.scenario.loading import load_plan
from harness.systems.hybrid.options import ClientOptions
from tests.support.paths import SCENARIOS

SMOKE = SCENARIOS / "workloads" / "ci-smoke.toml"
AWS = SCENARIOS / "targets" / "hybrid-aws.toml"
VARIABLES = ("APPSYNC_HTTP_HOST", "APPSYNC_REALTIME_HOST", "APPSYNC_API_KEY", "POLLING_HOST")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """A host for each variable, named after it."""
    for name in VARIABLES:
        monkeypatch.setenv(name, f"{name.lower().replace('_', '-')}.example.org")


def test_address_of_polls_may_name_the_environment():
    """As those of the endpoints do."""
    client = load_plan(SMOKE, AWS).client
    assert isinstance(client, ClientOptions)
    assert "https://polling-host.example.org/rooms/{channel}/messages" == client.poll_address


def test_variable_that_is_not_set_is_told_with_its_key(monkeypatch):
    """Before anything starts."""
    monkeypatch.delenv("POLLING_HOST")
    with pytest.raises(ScenarioError) as failure:
        load_plan(SMOKE, AWS)
    (problem,) = failure.value.problems
    assert problem.key.endswith("client.poll_address")
    assert "POLLING_HOST, which is not set" == problem.found


def test_address_that_nobody_can_poll_is_refused():
    """A WebSocket address is none."""
    with pytest.raises(ScenarioError, match="must be an address that starts with https:// or"):
        load_plan(SMOKE, AWS, overrides=["target.client.poll_address=wss://example.org/"])
