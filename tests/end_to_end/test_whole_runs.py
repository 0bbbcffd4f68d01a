import contextlib

import pandas as pd
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tests.support.runs import SHORT, WITH_CHARTS, after, apart

pytestmark = pytest.mark.smoke

USERS = 100


def smoke_run(launcher):
    flags = ("--label", "build 7", "--tag", "commit=1a2b")
    changes = SHORT | {"phases.measure_s": 3.0}
    return launcher.run(changes, *flags, HARNESS_TAGS="env=staging", **WITH_CHARTS).outcome()


def plain_locust(launcher):
    tables = launcher.new_folder() / "tables"
    flags = ("--label", "build 8", "-u", USERS, "-r", 50, "-t", "10s")
    files = ("--csv", tables, "--html", f"{tables}.html")
    return launcher.locust({}, *flags, *files, *apart(2)).outcome(), tables


class Log(HistogramLogReader):  # type: ignore[misc]  # no annotations
    """The library's reader, which leaves closing its file to nobody."""

    def close(self):
        self.input_file.close()


def measured(outcome):
    messages = outcome.table("messages")
    return messages[messages["phase"] == "measure"]


@after(smoke_run)
def test_nothing_owed_is_lost(outcome):
    """The smoke run passes: all joined, all that was owed arrived, no process is left."""
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left)
    deliveries = outcome.summary["deliveries"]
    assert deliveries["owed"] > 0
    assert deliveries["owed"] == deliveries["received"]
    assert 0 == deliveries["lost"] == deliveries["duplicated"] == deliveries["unexpected"]
    assert USERS == outcome.summary["joins"]["succeeded"]
    assert "completed" == outcome.run["status"]
    assert "Traceback" not in outcome.said


@after(smoke_run)
def test_label_and_tags_are_in_the_record_and_on_its_pages(outcome):
    """Those of flags and of the environment; the plan itself is that of any other run."""
    tags = {"env": "staging", "commit": "1a2b"}
    assert ("build 7", tags) == (outcome.run["label"], outcome.run["tags"])
    assert {"workload", "target", "workload_file", "target_file"} == set(outcome.run["plan"])
    for page in ("report.html", "summary.md"):
        assert "build 7, env=staging, commit=1a2b" in (outcome.folder / page).read_text("utf-8")


@after(smoke_run)
def test_summary_is_what_the_tables_say(outcome):
    """Counting the rows again gives the figures of run.json."""
    summary, messages = outcome.summary, measured(outcome)
    connections = outcome.table("connections")
    assert messages["owed"].sum() == summary["deliveries"]["owed"]
    assert messages["delivered"].sum() == summary["deliveries"]["received"]
    assert (messages["outcome"] == "acknowledged").sum() == summary["publishes"]["acknowledged"]
    assert connections["joined"].sum() == summary["joins"]["succeeded"]
    everything = outcome.table("messages")
    for column in ("owed", "delivered", "duplicated", "reordered"):
        assert everything[column].sum() == connections[column].sum(), column
    assert outcome.table("errors").empty


@after(smoke_run)
def test_timeline_adds_up_to_the_messages(outcome):
    """Deliveries counted second by second are those counted message by message."""
    timeline, messages = outcome.table("timeline"), outcome.table("messages")
    assert messages["delivered"].sum() == timeline["deliveries"].sum()
    assert len(messages) == timeline["publishes_offered"].sum()


@after(smoke_run)
def test_histograms_are_read_by_the_library_of_their_format(outcome):
    """HdrHistogram's own reader finds one value for each delivery, and the summary's p99."""
    merged = HdrHistogram(1_000, 3_600_000_000_000, 3)
    with contextlib.closing(Log(str(outcome.folder / "histograms.hlog"), merged)) as log:
        while (histogram := log.get_next_interval_histogram()) is not None:
            metric, _, phase = histogram.tag.split(".")
            if (metric, phase) == ("fan_out_latency", "measure"):
                merged.add(histogram)
    assert outcome.summary["deliveries"]["received"] == merged.get_total_count()
    p99_ms = merged.get_value_at_percentile(99.0) / 1e6
    assert p99_ms == outcome.summary["fan_out_latency_ms"]["p99"]


@after(smoke_run)
def test_user_sees_progress_then_verdict_then_the_page(outcome):
    """Progress goes to stderr, the result to stdout; the page it names is there."""
    assert "100 of 100 connected" in outcome.stderr
    assert outcome.stdout.startswith("✓ Pass ci-smoke on appsync-events-emulated\n")
    assert outcome.stdout.endswith(f"\nreport: {outcome.folder / 'report.html'}\n")
    assert "</html>" in (outcome.folder / "report.html").read_text("utf-8")
    assert {".svg", ".png"} == {chart.suffix for chart in (outcome.folder / "charts").iterdir()}


@after(plain_locust)
def test_plain_locust_does_the_same_job(outcome):
    """Two workers of plain Locust leave a complete record that passes, and print the verdict."""
    outcome, _ = outcome
    assert (0, []) == (outcome.exit_code, outcome.left)
    assert "build 8" == outcome.run["label"]
    assert outcome.stdout.startswith("✓ Pass ci-smoke on appsync-events-emulated\n")
    assert "Traceback" not in outcome.said
    assert [0, 1] == [worker["index"] for worker in outcome.run["workers"]]
    # Its workers are forked with a secret that nobody else knows.
    assert "channel_open" not in {one["code"] for one in outcome.summary["warnings"]}
    connections = outcome.table("connections")
    assert {0: USERS // 2, 1: USERS // 2} == connections["worker"].value_counts().to_dict()
    assert outcome.summary["deliveries"]["owed"] == outcome.summary["deliveries"]["received"] > 0


@after(plain_locust)
def test_locust_counts_what_the_record_counts(outcome):
    """Locust's own CSV has joins, publishes and owed deliveries, as many as the record."""
    outcome, tables = outcome
    rows = pd.read_csv(f"{tables}_stats.csv", keep_default_na=False)
    counted = rows.groupby("Type")["Request Count"]
    messages = outcome.table("messages")
    expected = {"JOIN": USERS, "PUBLISH": len(messages), "DELIVER": messages["delivered"].sum()}
    found = counted.sum().to_dict()
    assert expected == {kind: found[kind] for kind in expected}
    assert {"JOIN", "PUBLISH", "DELIVER", ""} == set(found)


@after(plain_locust)
def test_locust_writes_its_own_page(outcome):
    """--html still gives Locust's report, with our operations in it."""
    _, tables = outcome
    assert "DELIVER" in tables.with_suffix(".html").read_text("utf-8")
