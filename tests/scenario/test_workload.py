import pytest
from pydantic import ValidationError

from harness.core.message_token import MessageToken, MessageWriter
from harness.scenario.event_bytes import SMALLEST_EVENT_BYTES, LognormalBytes
from harness.scenario.population import Population
from harness.scenario.target import Target
from harness.scenario.workload import Workload

RULES = """\
population={subscribers=0, chatters=5, chatters_subscribe=false}
population.chatters_subscribe must be true where subscribers = 0, got false
hint: otherwise no user would receive messages

channels.count=11
channels.count must be at most 10, the number of users who subscribe, got 11
hint: more channels than listeners leaves channels without any

publishing.event_bytes={distribution="lognormal", median=900}
publishing.event_bytes.p99 must be above median = 900, got nothing
hint: for events of one size write distribution = "fixed" and value

publishing.event_bytes={distribution="lognormal", minimum=200, maximum=199}
publishing.event_bytes.maximum must be at least minimum = 200, got 199

publishing.event_bytes={distribution="fixed", value=90}
publishing.event_bytes.value must be >= 96, got 90

publishing.event_bytes={distribution="choice", values=[200, 90]}
publishing.event_bytes.values.1 must be >= 96, got 90

publishing.event_bytes={distribution="choice", values=[]}
publishing.event_bytes.values must not be empty, got []

publishing.event_bytes={distribution="choice", values=[200], weights=[1, 2]}
publishing.event_bytes.weights must have as many entries as values, which has 1, got [1, 2]

publishing.burst={factor=6, length_s=10, every_s=10}
publishing.burst.every_s must be above length_s = 10, got 10
hint: a burst that never ends is a higher rate_per_s

publishing={}
publishing.rate_per_s must be given where messages_per_day is not, got nothing
hint: for one message every 20 s write rate_per_s = 0.05

publishing={rate_per_s=1, messages_per_day=2}
publishing.rate_per_s must not be given together with messages_per_day, got 1
hint: keep one of the two

publishing.live_window_hours=4
publishing.live_window_hours must not be given without messages_per_day, got 4
hint: rate_per_s already says how often; leave live_window_hours out

phases.measure_s=0.5
phases.measure_s must be >= 1, got 0.5

slos=[{metric="deliveries.ratio", op=">=", limit=1.0, user_class="chatter"}]
slos.0.user_class must not be given for deliveries.ratio, got "chatter"
hint: a run record does not keep deliveries.ratio apart by user_class

slos=[{metric="joins.failed", op="==", limit=0, phase="pause"}]
slos.0.phase must be one of join, settle, warm_up, measure, drain, got "pause"

generator.cpu_ratio=1.5
generator.cpu_ratio must be <= 1, got 1.5"""
"""An override that breaks a rule, and what is said of it."""


@pytest.mark.parametrize("rule", RULES.split("\n\n"))
def test_rule_between_keys_is_explained(scenario, rule):
    """A workload that could not work says which key is wrong, why, and what to write."""
    override, _, complaint = rule.partition("\n")
    assert f"--set: {complaint}" == scenario.complaint(override)


NO_SUCH_PART = """\
phases.warm_up_s=0
{metric="deliveries.ratio", op="==", limit=1.0, phase="warm_up"}
slos.0.phase must be a phase that the workload has, got "warm_up"
hint: phases.warm_up_s is 0

population.subscribers=0
{metric="joins.failed", op="==", limit=0, user_class="subscriber"}
slos.0.user_class must be a kind of user that has joins.failed, got "subscriber"
hint: population.subscribers is 0

population.chatters_subscribe=false
{metric="stall_s.max", op="<=", limit=1, user_class="chatter"}
slos.0.user_class must be a kind of user that has stall_s.max, got "chatter"
hint: population.chatters_subscribe is false

seed=2
{metric="publishes.latency_ms.p99", op="<=", limit=1, user_class="subscriber"}
slos.0.user_class must be a kind of user that has publishes.latency_ms.p99, got "subscriber"
hint: only chatters publish"""
"""What makes a workload lack a part, an SLO on that part, and what is said of it."""


@pytest.mark.parametrize("case", NO_SUCH_PART.split("\n\n"))
def test_an_objective_on_a_part_that_the_workload_has_not_is_refused(scenario, case):
    """It could never have data, so no run could pass."""
    override, slo, complaint = case.split("\n", 2)
    assert complaint in scenario.complaint(override, f"slos=[{slo}]")


def test_objectives_on_parts_of_a_run_are_planned(scenario):
    """A phase and a kind of user, together and alone."""
    parts = ['phase="warm_up", user_class="chatter"', 'phase="measure"', 'user_class="subscriber"']
    tables = [f'{{metric="joins.failed", op="==", limit=0, {part}}}' for part in parts]
    assert [
        "joins.failed == 0 (chatter, warm_up)",
        "joins.failed == 0 (measure)",
        "joins.failed == 0 (subscriber)",
    ] == [str(slo) for slo in scenario.plan(f"slos=[{', '.join(tables)}]").workload.slos]


def test_defaults_are_those_of_a_chat(scenario):
    """A workload that says little gets one room, random gaps and chat-sized events."""
    workload = scenario.plan().workload
    assert 1 == workload.channels.count
    assert "poisson" == workload.publishing.arrival
    assert LognormalBytes(distribution="lognormal") == workload.publishing.event_bytes
    generator = workload.generator
    limits = (generator.send_delay_p99_ms, generator.loop_lag_p99_ms, generator.cpu_ratio)
    assert (100.0, 100.0, 0.95) == limits


@pytest.mark.parametrize(("subscribe", "listeners"), [(True, 10), (False, 9)])
def test_chatters_listen_unless_told_otherwise(scenario, subscribe, listeners):
    """The number of listeners follows chatters_subscribe."""
    override = f"population.chatters_subscribe={str(subscribe).lower()}"
    assert listeners == scenario.plan(override).workload.population.listeners


def test_smallest_event_has_room_for_the_default_message():
    """The token has one length, whatever the numbers in it."""
    template = Target.model_fields["message"].default
    message = MessageWriter("run", template).write(MessageToken(0, 0, 0, 0), SMALLEST_EVENT_BYTES)
    assert SMALLEST_EVENT_BYTES == len(message)


def test_names_are_fit_for_a_folder():
    """A name has no slash, space, dot or capital in it."""
    assert "^[a-z0-9][a-z0-9-]*$" == Workload.model_json_schema()["properties"]["name"]["pattern"]


def test_client_subscribes_to_no_more_channels_than_there_are(scenario):
    """A second subscription to the same channel is no second channel."""
    assert (
        "workload.toml: channels.subscriptions_per_client must be at most count = 2, got 3\n"
        "hint: a client subscribes to a channel once; make more channels"
    ) == scenario.complaint("channels.count=2", "channels.subscriptions_per_client=3").replace(
        "--set: ", "workload.toml: "
    )


@pytest.mark.parametrize(
    ("others", "rule"),
    [
        ({"Browser": -1}, "greater than or equal to 0"),
        ({"Browser": 1.5}, "valid integer"),
        ({"web-user": 1}, 'and "web-user" is no class name'),
    ],
)
def test_counts_of_ordinary_users_are_whole_numbers_by_class_name(others, rule):
    """What no run could start is refused with the file."""
    with pytest.raises(ValidationError, match=rule):
        Population(subscribers=1, chatters=1, others=others)


def test_ordinary_users_by_weight_grow_with_the_population():
    """One for every ten, rounded up, beside those that are counted."""
    weights = {"Browser": 0.1, "Editor": 0.01}
    made = Population(subscribers=27, chatters=3, others={"Bot": 2}, other_weights=weights)
    assert {"Bot": 2, "Browser": 3, "Editor": 1} == made.ordinary


def test_class_with_a_number_and_a_weight_is_refused():
    """Which of the two was meant, nobody could tell."""
    with pytest.raises(ValidationError, match=r"must not name Browser, which population\.others"):
        Population(subscribers=1, chatters=1, others={"Browser": 1}, other_weights={"Browser": 0.5})
