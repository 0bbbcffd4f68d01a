"""A whole run against API Gateway above its quota: what is lost is what the emulator gave up."""

from functools import partial

from harness.core.exit_codes import ExitCode
from tests.support.runs import EMULATED, SHORT, after

TARGET = EMULATED.with_name("api-gateway-websocket-emulated.toml")


def overload(launcher, target):
    """Send more than 300 requests a second carry, from two processes."""
    settings = {
        "phases.drain_s": 4.0,
        "target.emulator.processes": 2,
        "target.emulator.quotas.requests_per_s": 300,
        "target.emulator.quotas.burst": 300,
    }
    return launcher.run(SHORT | settings, target=target).outcome()


@after(partial(overload, target=TARGET))
def test_lost_deliveries_are_those_the_throttle_cost(outcome):
    """To the last one, over all phases; and nobody waits for a delivery that is still to come."""
    truth = outcome.truth["stats"]
    deliveries = truth["deliveries"]
    messages = outcome.table("messages")
    assert messages["lost"].sum() == deliveries["dropped"]["throttled"] > 0
    received = messages["delivered"].sum() + messages["unexpected"].sum() + messages["late"].sum()
    assert (received, 0) == (deliveries["sent"], deliveries["pending"])
    assert (messages["outcome"] == "throttled").sum() == truth["publishes"]["throttled"]["quota"]
    assert ExitCode.SLO_FAILED == outcome.exit_code  # The run is valid, and the system too slow.
