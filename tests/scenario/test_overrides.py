import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario.overrides import scale_population, toml_value
from harness.scenario.population import Population
from harness.scenario.problems import Source
from harness.scenario.workload import Workload
from tests.scenario.conftest import WORKLOAD


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("2.5", 2.5),
        ("true", True),
        ("True", "True"),
        ('"2"', "2"),
        ("http", "http"),
        ("", ""),
        ("[1, 2]", [1, 2]),
        ('{distribution = "fixed", value = 300}', {"distribution": "fixed", "value": 300}),
        ("1\nseed = 2", "1\nseed = 2"),
    ],
)
def test_value_is_read_as_toml_or_else_taken_as_text(text, value):
    """``--set key=value`` needs no quotes, and cannot smuggle in a second key."""
    assert value == toml_value(text)


@given(st.text())
def test_any_text_has_a_value(text):
    """No value is refused here; the models judge it."""
    assert toml_value(text) is not None


def test_override_reaches_workload_and_target(scenario):
    """Keys of the target start with "target."; all others are the workload's."""
    plan = scenario.plan("publishing.transport=http", "target.emulator.processes=2")
    assert ("http", 2) == (plan.workload.publishing.transport, plan.target.emulator.processes)


def test_override_reaches_the_options_of_a_systems_own_emulator(scenario):
    """A key that only one system's emulator has can be set like any other."""
    plan = scenario.plan("target.emulator.quotas.connects_per_s=500")
    assert 500 == plan.target.emulator.quotas.connects_per_s


def test_override_of_a_whole_table_replaces_it(scenario):
    """An inline table takes the place of the file's table."""
    plan = scenario.plan('publishing.event_bytes={distribution="fixed", value=300}')
    assert 300 == plan.workload.publishing.event_bytes.value


def test_override_of_an_entry_of_an_array_counts_from_zero(scenario):
    """The first SLO is slos.0."""
    slo = '[[slos]]\nmetric = "deliveries.ratio"\nop = ">="\nlimit = 1.0\n'
    scenario.write(WORKLOAD + slo)
    assert 0.5 == scenario.plan("slos.0.limit=0.5").workload.slos[0].limit


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("name.x=1", "--set: name.x does not exist: name is not a table"),
        ("slos.0.limit=1", "--set: slos.0.limit does not exist: slos has 0 entries"),
        ("target.name.x.y=1", "--set: target.name.x.y does not exist: name is not a table"),
    ],
)
def test_override_of_a_place_that_cannot_be_is_refused(scenario, override, complaint):
    """A path through something that holds no keys names where it ends."""
    scenario.write("slos = []\n" + WORKLOAD)
    assert complaint == scenario.complaint(override)


@pytest.mark.parametrize("override", ["", "x", "=1", ".x=1", "a..b=1", "a.=1"])
def test_override_without_a_key_or_a_value_is_refused(scenario, override):
    """What has not the form key=value is shown the form."""
    assert "--set must have the form key=value, got " in scenario.complaint(override)


@pytest.mark.parametrize(
    ("overrides", "flags", "complaint"),
    [
        (
            ("target.emulator.processes=0",),
            {},
            "--set: target.emulator.processes must be >= 1, got 0",
        ),
        (
            ("target.emulator.process=2",),
            {},
            (
                "--set: target.emulator.process is not a key of [emulator], got 2\n"
                "hint: did you mean processes?"
            ),
        ),
        (
            (),
            {"users": 1},
            "--users must be >= 2, got 1\nhint: at least one subscriber and one chatter",
        ),
        ((), {"join_rate_per_s": 0}, "--spawn-rate: joins.rate_per_s must be >= 0.001, got 0"),
    ],
    ids=["breaks a rule", "misspelt", "too few users for both kinds", "Locust's rate"],
)
def test_flag_is_blamed_for_its_value_and_not_the_file(scenario, overrides, flags, complaint):
    """Whoever set it reads which flag is at fault, with the hint that a file would get."""
    assert complaint == scenario.complaint(*overrides, **flags)


def test_table_begun_on_the_command_line_is_blamed_for_what_it_lacks(scenario):
    """Half a burst on the command line is the command line's fault."""
    complaint = scenario.complaint("publishing.burst.factor=6")
    assert complaint.startswith("--set: publishing.burst.length_s must be given, got nothing\n")


def test_rate_replaces_messages_per_day(scenario):
    """Setting a rate takes the file's messages per day and their window out."""
    per_day = "messages_per_day = 25000\nlive_window_hours = 4"
    scenario.write(WORKLOAD.replace("rate_per_s = 4.0", per_day))
    assert 2.0 == scenario.plan("publishing.rate_per_s=2").rate_per_s


def test_messages_per_day_replace_the_rate(scenario):
    """Setting messages per day takes the file's rate out, and keeps a window set before."""
    plan = scenario.plan("publishing.live_window_hours=4", "publishing.messages_per_day=28800")
    assert 2.0 == plan.rate_per_s


def test_other_kind_of_sizes_replaces_the_keys_of_the_first(scenario):
    """Changing the distribution takes the other one's keys out of the file, not off the flags."""
    sizes = '[publishing.event_bytes]\ndistribution = "lognormal"\nmedian = 200\np99 = 600\n'
    scenario.write(WORKLOAD + sizes)
    fixed = ("publishing.event_bytes.value=300", "publishing.event_bytes.distribution=fixed")
    assert 300 == scenario.plan(*fixed).workload.publishing.event_bytes.value
    same = scenario.plan("publishing.event_bytes.distribution=lognormal")
    assert 200 == same.workload.publishing.event_bytes.median


def test_both_rates_on_the_command_line_contradict_each_other(scenario):
    """Neither flag wins in silence."""
    complaint = scenario.complaint("publishing.messages_per_day=9", "publishing.rate_per_s=1")
    assert "must not be given together with messages_per_day, got 1" in complaint


def source_of(subscribers: object, chatters: object, **others: object) -> Source:
    """Return a workload with this population and nothing else."""
    population = {"subscribers": subscribers, "chatters": chatters} | others
    return Source(file="w.toml", data={"population": population}, model=Workload)


@pytest.mark.parametrize(
    ("before", "users", "after"),
    [
        ((900, 100), 500, (450, 50)),
        ((900, 100), 2000, (1800, 200)),
        ((900, 100), 5, (4, 1)),
        ((900, 100), 2, (1, 1)),
        ((1, 99), 10, (1, 9)),
        ((0, 100), 7, (0, 7)),
        ((900, 0), 7, (7, 0)),
        ((1, 1), 3, (1, 2)),
    ],
)
def test_users_keep_their_proportions(before, users, after):
    """--users scales both kinds, and one of each that was there stays."""
    source = source_of(*before)
    assert [] == scale_population(source, users)
    scaled = source.data["population"]
    assert after == (scaled["subscribers"], scaled["chatters"])


@given(
    subscribers=st.integers(0, 50_000),
    chatters=st.integers(1, 50_000),
    users=st.integers(2, 100_000),
)
def test_scaled_population_is_as_large_as_asked(subscribers, chatters, users):
    """Whatever the shares, --users is the number of users, and no kind vanishes."""
    source = source_of(subscribers, chatters)
    assert [] == scale_population(source, users)
    scaled = source.data["population"]
    assert users == scaled["subscribers"] + scaled["chatters"]
    assert scaled["chatters"] >= 1
    assert (scaled["subscribers"] >= 1) == (subscribers >= 1)


@pytest.mark.parametrize("population", [("9", 1), (None, 1), (True, 1), (-9, 1), (0, 0)])
def test_population_that_does_not_validate_is_left_alone(population):
    """Scaling does not hide what is wrong with the file."""
    source = source_of(*population)
    before = dict(source.data["population"])
    assert ([], before) == (scale_population(source, 10), source.data["population"])


@pytest.mark.parametrize(
    ("users", "scaled"), [(600, (360, 40, 200)), (30, (18, 2, 10)), (3, (1, 1, 1)), (5, (2, 1, 2))]
)
def test_ordinary_users_are_scaled_with_the_rest(users, scaled):
    """``-u`` is the number of all users, as in Locust."""
    source = source_of(180, 20, others={"Browser": 100})
    assert [] == scale_population(source, users)
    made = source.data["population"]
    assert scaled == (made["subscribers"], made["chatters"], made["others"]["Browser"])


@pytest.mark.parametrize("users", [4, 33, 330, 999, 1001])
def test_users_by_weight_are_among_those_the_flag_counts(users):
    """They follow the population, and the whole is no larger than was asked for."""
    source = source_of(270, 30, other_weights={"Browser": 0.1})
    assert [] == scale_population(source, users)
    made = Population(**source.data["population"])
    assert users - 1 <= made.users + sum(made.ordinary.values()) <= users
