import pytest

from harness.core.errors import ScenarioError
from harness.scenario.loading import load_plan
from harness.scenario.reference import keys_in_markdown, metrics_in_markdown, with_section
from harness.scenario.schema import REFERENCE
from harness.scenario.target import target_model
from harness.scenario.workload import Workload
from tests.scenario.conftest import WORKLOAD


def test_key_is_shown_with_type_limits_unit_default_and_meaning():
    """A row of the reference says all there is to know about a key."""
    row = (
        "| `cpu_ratio` | number > 0, ≤ 1 | ratio | `0.95` "
        "| Share of one core that a worker may use. |"
    )
    assert row in keys_in_markdown(Workload).splitlines()


def test_tables_are_headed_as_toml_writes_them():
    """Arrays of tables have double brackets and alternatives name their tag."""
    headings = [line for line in keys_in_markdown(Workload).splitlines() if line.startswith("#")]
    assert "### `[[slos]]`" in headings
    assert '### `[publishing.event_bytes]` with `distribution = "fixed"`' in headings


def test_choice_lists_its_words():
    """A key with few words shows them."""
    assert (
        '| `sign_in` | `"user_password"` or `"admin_user_password"` |  | `"user_password"` |'
        in keys_in_markdown(target_model("appsync-events"))
    )


def test_figures_computed_alike_share_a_row():
    """Every percentile of a latency stands in one row, with what may narrow it down."""
    rows = (
        "| `service_latency_ms.p50`, `p90`, `p95`, `p99`, `p999`, `max` | ms | kernel receive − ",
        "| `joins.per_s_peak` | 1/s | most joins confirmed within one second | whole run |",
        "| `joins.failed` |  | attempts that failed | whole run | lower | `phase`, `user_class` |",
    )
    table = metrics_in_markdown()
    assert all(f"\n{row}" in table for row in rows)


def test_section_is_replaced_and_the_rest_stays():
    """Only what is between the marks changes, and twice is as once."""
    document = "before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n"
    once = with_section(document, "x", "new\n")
    assert "before\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nafter\n" == once
    assert once == with_section(once, "x", "new\n")


def test_overrides_shown_in_the_reference_work():
    """Every --set that people can copy from the page is accepted."""
    lines = REFERENCE.read_text("utf-8").splitlines()
    overrides = [line.removeprefix("--set ") for line in lines if line.startswith("--set ")]
    scenarios = REFERENCE.parents[1] / "scenarios"
    plan = load_plan(
        scenarios / "workloads/quickstart.toml",
        scenarios / "targets/appsync-events-emulated.toml",
        overrides=overrides,
    )
    assert 4 == len(overrides)
    assert (2.0, "http", 250.0) == (
        plan.rate_per_s,
        plan.workload.publishing.transport,
        plan.workload.slos[0].limit,
    )


def test_errors_shown_in_the_reference_are_the_real_ones(scenario):
    """The page shows what a user would read, word for word."""
    text = WORKLOAD.replace("rate_per_s = 2.0", 'rate_per_s = "200"')
    scenario.write(text.replace("rate_per_s = 4.0", "rate_per_sec = 4"))
    with pytest.raises(ScenarioError) as caught:
        scenario.plan()
    said = str(caught.value).replace(str(scenario.workload), "scenarios/workloads/mine.toml")
    assert f"```\n{said}\n```" in REFERENCE.read_text("utf-8")
