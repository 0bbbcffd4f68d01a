from dataclasses import replace

import pytest

from harness.load.sizing import needs_of, peak_deliveries_per_s, refuse, shortages, size_plan
from harness.measure.machine import Needs
from harness.scenario.loading import load_plan
from tests.support.machines import TWO_CORES
from tests.support.paths import SCENARIOS

QUICKSTART = SCENARIOS / "workloads" / "quickstart.toml"
REFERENCE = SCENARIOS / "workloads" / "reference.toml"
EMULATED = SCENARIOS / "targets" / "appsync-events-emulated.toml"
EMULATED_TLS = SCENARIOS / "targets" / "appsync-events-emulated-tls.toml"
NCHAN = SCENARIOS / "targets" / "nchan-sse.toml"
AWS = SCENARIOS / "targets" / "appsync-events-aws.toml"


def sizes(workload, machine=TWO_CORES, workers=None, overrides=()):
    sized, count = size_plan(load_plan(workload, EMULATED, overrides=overrides), machine, workers)
    return count, sized.target.emulator.processes


def test_small_run_takes_one_process_of_each():
    """The quickstart needs no more."""
    assert (1, 1) == sizes(QUICKSTART)


def test_reference_run_takes_as_many_as_the_file_limit_asks():
    """35,000 connections and 20,000 files a process: two of each."""
    assert (2, 2) == sizes(REFERENCE)


def test_lower_file_limit_takes_more_processes():
    """With 4,096 files a process the same crowd needs nine workers and ten servers."""
    assert (9, 10) == sizes(REFERENCE, replace(TWO_CORES, open_files=4096))


def test_what_the_user_gives_stays():
    """Numbers given are not second-guessed."""
    assert (3, 5) == sizes(QUICKSTART, workers=3, overrides=["target.emulator.processes=5"])


def test_reference_run_fits_a_two_core_machine():
    """Nothing is too low for the load the project is for."""
    plan, workers = size_plan(load_plan(REFERENCE, EMULATED), TWO_CORES, None)
    assert {} == shortages(plan, TWO_CORES, workers)


def test_sixfold_burst_is_refused_with_the_cores_it_needs():
    """365,000 deliveries a second are too much for two cores, and the error says what it takes."""
    overrides = ["publishing.burst={factor=6, length_s=60, every_s=120}"]
    plan = load_plan(REFERENCE, EMULATED, overrides=overrides)
    plan, workers = size_plan(plan, TWO_CORES, None)
    short = shortages(plan, TWO_CORES, workers)
    assert {"this machine": ["cores"]} == {
        where: [check.name for check in checks] for where, checks in short.items()
    }
    sentence = str(refuse(short))
    assert sentence.startswith("this machine: cores: 2.00 cores found, 4.92 cores needed\n")
    assert "--force" in sentence


def test_needs_of_the_quickstart_are_known():
    """1,000 users hear 4 messages a second: 4,000 deliveries a second."""
    assert Needs(
        users=1000,
        http_publishers=0,
        joins_per_s=200.0,
        deliveries_per_s=4000.0,
        workers=2,
        emulator_processes=1,
        source_addresses=2,
        tls=False,
    ) == needs_of(load_plan(QUICKSTART, EMULATED), workers=2)


def test_publishing_over_http_and_tls_are_counted():
    """Chatters on HTTP hold a connection more; encryption comes from the target."""
    plan = load_plan(QUICKSTART, EMULATED_TLS, overrides=["publishing.transport=http"])
    needs = needs_of(plan, workers=1)
    assert (100, True) == (needs.http_publishers, needs.tls)


def test_real_target_needs_no_emulator(monkeypatch):
    """What runs elsewhere costs nothing here, and wss means TLS."""
    for name in ("APPSYNC_HTTP_HOST", "APPSYNC_REALTIME_HOST", "APPSYNC_API_KEY"):
        monkeypatch.setenv(name, "example.org")
    needs = needs_of(load_plan(QUICKSTART, AWS), workers=1)
    assert (0, True) == (needs.emulator_processes, needs.tls)


def test_real_server_on_loopback_is_reached_from_an_address_for_each_worker():
    """As an emulator is: each address there is ours, so 30,000 connections do not lack ports."""
    needs = needs_of(load_plan(QUICKSTART, NCHAN), workers=3)
    assert (0, 3) == (needs.emulator_processes, needs.source_addresses)


@pytest.mark.parametrize(
    ("overrides", "deliveries_per_s"),
    [
        ([], 4000.0),
        (["channels.count=4"], 1000.0),
        (["channels.count=2", "channels.zipf_skew=1.0"], 4000.0 * (4 / 9 + 1 / 9)),
        (["publishing.burst={factor=6, length_s=10, every_s=60}"], 24_000.0),
        (["population.chatters_subscribe=false"], 3600.0),
    ],
)
def test_peak_deliveries_follow_channels_and_bursts(overrides, deliveries_per_s):
    """Channels divide the audience, skew gathers it again, and bursts multiply the rate."""
    plan = load_plan(QUICKSTART, EMULATED, overrides=overrides)
    assert deliveries_per_s == pytest.approx(peak_deliveries_per_s(plan))


def test_machine_that_only_serves_is_asked_for_what_serving_takes():
    """A master whose workers are elsewhere: no ports, no file for a connection of its own."""
    plan, _ = size_plan(load_plan(REFERENCE, EMULATED), TWO_CORES, 2)
    short = shortages(plan, replace(TWO_CORES, ephemeral_ports=10, open_files=10), 2, here=0)
    assert ["open files of an emulator process"] == [check.name for check in short["this machine"]]


def test_half_of_the_workers_are_half_of_the_load():
    """Ports, memory and cores are those of their share, the emulator's those of all."""
    plan, _ = size_plan(load_plan(REFERENCE, EMULATED), TWO_CORES, 2)
    all_here, half = needs_of(plan, 2), needs_of(plan, 2, here=1)
    emulator_bytes = needs_of(plan, 2, here=0).memory_bytes
    assert half.memory_bytes - emulator_bytes == (all_here.memory_bytes - emulator_bytes) / 2
    assert (all_here.emulator_cores, all_here.files_per_worker) == (
        half.emulator_cores,
        half.files_per_worker,
    )


def test_emulator_that_others_reach_is_not_reached_from_loopback_addresses():
    """All connections of a machine come from its one address."""
    overrides = ["target.emulator.host=10.0.0.1"]
    needs = needs_of(load_plan(QUICKSTART, EMULATED, overrides=overrides), workers=3)
    assert 1 == needs.source_addresses
