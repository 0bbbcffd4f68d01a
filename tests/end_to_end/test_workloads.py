"""The shipped workloads that need no large machine, shortened, against emulators plain and TLS."""

from functools import partial

import pandas as pd

from tests.end_to_end.stage import EMULATED, ROOT, SHORT, after

WORKLOADS = ROOT / "scenarios" / "workloads"
EMULATED_TLS = EMULATED.with_name("appsync-events-emulated-tls.toml")
PATIENT_MS = 60_000.0


def run(stage, name, target, **settings):
    """Run a workload for three seconds, at its own rate and with its latency SLO out of reach."""
    shortened = {key: value for key, value in SHORT.items() if key.startswith("phases.")}
    act = stage.run(
        shortened | {"phases.measure_s": 3.0} | settings,
        workload=WORKLOADS / f"{name}.toml",
        target=target,
    )
    return act.outcome()


def ingest(stage, target, **settings):
    return run(stage, "ingest", target, **{"slos.3.limit": PATIENT_MS}, **settings)


def big_events(stage, target):
    return run(stage, "big-events", target, **{"slos.2.limit": PATIENT_MS})


plain_ingest = partial(ingest, target=EMULATED)
tls_ingest = partial(ingest, target=EMULATED_TLS, **{"publishing.transport": "http"})
plain_big_events = partial(big_events, target=EMULATED)
tls_big_events = partial(big_events, target=EMULATED_TLS)


def assert_all_went_in(outcome):
    assert (0, []) == (outcome.exit_code, outcome.errors)
    assert 3000 == outcome.summary["publishes"]["acknowledged"]
    assert 0 == outcome.summary["publishes"]["throttled"]
    assert 0 == outcome.summary["deliveries"]["lost"]


@after(plain_ingest)
def test_ingest_over_websocket(outcome):
    """3,000 events in batches of five: none is throttled and each reaches its one subscriber."""
    assert_all_went_in(outcome)


@after(plain_ingest)
def test_record_holds_no_key(outcome):
    """Neither the emulator's own key nor any part of the plan that would let somebody in."""
    files = [file for file in outcome.folder.rglob("*") if file.is_file()]
    assert {"run.json", "report.html"} <= {file.name for file in files}
    assert [] == [file.name for file in files if b"da2-emulator-local" in file.read_bytes()]
    assert "(hidden)" in (outcome.folder / "run.json").read_text(encoding="utf-8")


@after(tls_ingest)
def test_ingest_over_https(outcome):
    """The same over HTTP and TLS."""
    assert_all_went_in(outcome)


def assert_each_size_arrived(outcome):
    assert (0, []) == (outcome.exit_code, outcome.errors)
    messages = pd.read_parquet(outcome.folder / "messages.parquet")
    assert {5500, 33_000, 240_000} == set(messages["bytes"])
    assert messages["owed"].min() > 0
    assert messages["owed"].tolist() == messages["delivered"].tolist()


@after(plain_big_events)
def test_big_events(outcome):
    """Events of each size are published and reach everybody they are owed to."""
    assert_each_size_arrived(outcome)


@after(tls_big_events)
def test_big_events_over_tls(outcome):
    """The same where a delivery is many TLS records."""
    assert_each_size_arrived(outcome)
