import re

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import ScenarioError
from harness.core.exit_codes import ExitCode
from harness.core.system import installed_systems
from harness.scenario.loading import load_plan, load_scenario
from harness.scenario.plan import Plan
from harness.scenario.target import Target, proxies_of
from harness.scenario.workload import Workload
from tests.scenario.conftest import REAL_TARGET, TARGET, WORKLOAD
from tests.support.paths import SCENARIOS

WORKLOADS = sorted((SCENARIOS / "workloads").glob("*.toml"))
TARGETS = sorted((SCENARIOS / "targets").glob("*.toml"))

BAD_WORKLOAD = """\
name = "Bad Name"
sed = 3
rate_per_s = 2
[population]
subscriber = 900
chatters = -1
[joins]
rate_per_s = "200"
[publishing]
rate_per_sec = 4
batch_size = 9
transport = "websockt"
[publishing.event_bytes]
distribution = "lognorml"
[publishing.burst]
factor = 1
length_s = 60
every_s = 10
[phases]
measure_s = inf
[[slos]]
metric = "fan_out_latency.p99"
op = "=<"
limit = true
[[slos]]
metric = "deliveries.ratio"
op = ">="
limit = 99
"""

BAD_TARGET = """\
name = "aws"
system = "appsync-event"
emulated = false
[endpoints]
http = "${HTTP_ADDRESS}"
realtime = "http://example.org"
[auth]
api_key = "da2-secret"
"""

EVERYTHING_WRONG = """\
target.toml: endpoints.http must name an environment variable that is set, got HTTP_ADDRESS, \
which is not set
hint: export HTTP_ADDRESS=… before the run
workload.toml: name must be lower-case letters, digits and hyphens, got "Bad Name"
hint: for example bad-name
workload.toml: population.chatters must be >= 1, got -1
workload.toml: population.subscriber is not a key of [population], got 900
hint: did you mean subscribers?
workload.toml: joins.rate_per_s must be a number, got "200"
hint: write it without quotes: 200
workload.toml: publishing.batch_size must be <= 5, got 9
workload.toml: publishing.transport must be one of websocket, http, got "websockt"
hint: did you mean websocket?
workload.toml: publishing.event_bytes.distribution must be one of lognormal, fixed, choice, \
got "lognorml"
hint: did you mean lognormal?
workload.toml: publishing.burst.factor must be > 1, got 1
workload.toml: publishing.burst.every_s must be above length_s = 60, got 10
hint: a burst that never ends is a higher rate_per_s
workload.toml: publishing.rate_per_sec is not a key of [publishing], got 4
hint: did you mean rate_per_s?
workload.toml: phases.measure_s must be a finite number, got inf
workload.toml: slos.0.metric must be a figure of the run's summary, got "fan_out_latency.p99"
hint: did you mean fan_out_latency_ms.p99?
workload.toml: slos.0.op must be one of <=, <, >=, >, ==, got "=<"
hint: did you mean <=?
workload.toml: slos.0.limit must be a number, got true
workload.toml: slos.1.limit must be between 0 and 1, because the metric is a ratio, got 99
hint: for 99.9 % write limit = 0.999
workload.toml: sed is not a key of a workload, got 3
hint: did you mean seed?
workload.toml: rate_per_s is not a key of a workload, got 2
hint: did you mean joins.rate_per_s or publishing.rate_per_s?
target.toml: system must be one of SYSTEMS, got "appsync-event"
hint: did you mean appsync-events?
target.toml: endpoints.realtime must be an address that starts with wss:// or ws://, \
got "http://example.org"
hint: it starts with http://; for example wss://example.org/event
target.toml: auth.api_key is not a key of [auth], got a value that is not shown
hint: did you mean api_key_env?"""


@pytest.mark.parametrize("file", [*WORKLOADS, *TARGETS], ids=lambda file: file.name)
def test_every_scenario_file_validates(file):
    """Each file that comes with the project is good, says so and bears its own name."""
    model = Workload if file.parent.name == "workloads" else Target
    scenario = load_scenario(file)
    assert isinstance(scenario, model)
    assert file.stem == scenario.name


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda file: file.name)
@pytest.mark.parametrize(
    "target", [file for file in TARGETS if "emulated" in file.name], ids=lambda file: file.name
)
def test_every_workload_runs_on_every_emulated_target_without_environment(
    workload, target, monkeypatch
):
    """Any pair runs that the system is able to; no variable is asked for."""
    if "api-gateway" in target.name and load_scenario(workload).publishing.transport == "http":
        pytest.skip("API Gateway takes publishes over WebSocket only")
    for name in ("APPSYNC_API_KEY", "APPSYNC_HTTP_HOST", "APPSYNC_REALTIME_HOST"):
        monkeypatch.delenv(name, raising=False)
    plan = load_plan(workload, target)
    assert (str(workload), str(target)) == (plan.workload_file, plan.target_file)


def test_quickstart_takes_half_a_minute():
    """The first run: 1,000 users and 30 seconds."""
    plan = load_plan(
        SCENARIOS / "workloads/quickstart.toml", SCENARIOS / "targets/appsync-events-emulated.toml"
    )
    assert (1000, 30.0, 4.0) == (plan.users, plan.total_s, plan.rate_per_s)


def test_all_problems_of_both_files_are_reported_at_once(scenario, monkeypatch):
    """Whoever mistypes twenty things hears of twenty, each with place, value, rule and hint."""
    monkeypatch.delenv("HTTP_ADDRESS", raising=False)
    scenario.write(BAD_WORKLOAD, BAD_TARGET)
    complaint = scenario.complaint()
    assert EVERYTHING_WRONG.replace("SYSTEMS", ", ".join(installed_systems())) == complaint


def test_problems_hold_their_parts_and_the_exit_code_of_bad_usage(scenario):
    """Programs read the fields; people read the sentence."""
    scenario.write(WORKLOAD.replace("chatters = 1", "chatters = 0"))
    with pytest.raises(ScenarioError) as caught:
        scenario.plan()
    (problem,) = caught.value.problems
    assert ("population.chatters", "0", "must be >= 1") == (
        problem.key,
        problem.found,
        problem.rule,
    )
    assert ExitCode.BAD_USAGE == caught.value.exit_code


def test_problems_of_files_and_flags_come_together(scenario):
    """A wrong file does not hide a wrong flag, and the flag is blamed for what it set."""
    scenario.write(WORKLOAD.replace('"small"', '"S"'))
    assert scenario.complaint("joins.rate_per_s=0", "nonsense", users=1) == (
        "--set must have the form key=value, got nonsense\n"
        "hint: for example --set publishing.rate_per_s=2\n"
        "--users must be >= 2, got 1\n"
        "hint: at least one subscriber and one chatter\n"
        'workload.toml: name must be lower-case letters, digits and hyphens, got "S"\n'
        "hint: for example s\n"
        "--set: joins.rate_per_s must be >= 0.001, got 0"
    )


def test_run_time_sets_the_time_to_measure(scenario):
    """What joining and the other phases leave of the run time is measured."""
    plan = scenario.plan(run_time_s=20.0)
    assert (20.0, 11.0) == (plan.total_s, plan.workload.phases.measure_s)


def test_run_time_counts_the_joins_that_flags_ask_for(scenario):
    """Twenty users at one a second leave less than ten at two a second."""
    plan = scenario.plan(users=20, join_rate_per_s=1.0, run_time_s=30.0)
    assert (30.0, 6.0) == (plan.total_s, plan.workload.phases.measure_s)


@pytest.mark.parametrize("run_time_s", [9.0, 0.0, -1.0])
def test_run_time_that_leaves_nothing_to_measure_is_refused(scenario, run_time_s):
    """A run too short for its own phases says how long it must be."""
    assert scenario.complaint(run_time_s=run_time_s) == (
        f"--run-time must be at least 10 s, got {run_time_s:g} s\n"
        "hint: joining and the other phases take 9 s; let users join faster or shorten the "
        "phases, for example --set phases.drain_s=1"
    )


def test_variables_stand_in_for_the_endpoints(scenario, monkeypatch):
    """``${NAME}`` is resolved in the plan, and the key's variable stays a name."""
    monkeypatch.setenv("HTTP_HOST", "a.example.org")
    monkeypatch.setenv("REALTIME_HOST", "b.example.org")
    monkeypatch.setenv("REAL_KEY", "da2-very-secret")
    scenario.write(target=REAL_TARGET)
    plan = scenario.plan()
    assert "https://a.example.org/event" == plan.target.endpoints.http
    assert "wss://b.example.org/event/realtime" == plan.target.endpoints.realtime
    assert "da2-very-secret" not in plan.model_dump_json()


def test_variables_that_are_not_set_are_named(scenario, monkeypatch):
    """All missing variables are reported at once, an empty one among them."""
    monkeypatch.delenv("HTTP_HOST", raising=False)
    monkeypatch.setenv("REALTIME_HOST", "")
    monkeypatch.delenv("REAL_KEY", raising=False)
    scenario.write(target=REAL_TARGET)
    named = re.findall(r"hint: export (\w+)=", scenario.complaint())
    assert ["HTTP_HOST", "REALTIME_HOST", "REAL_KEY"] == named


def test_variable_with_a_wrong_address_is_an_error(scenario, monkeypatch):
    """What a variable holds is validated like what a file holds."""
    monkeypatch.setenv("HTTP_HOST", "a.example.org:port")
    monkeypatch.setenv("REALTIME_HOST", "b.example.org")
    monkeypatch.setenv("REAL_KEY", "k")
    scenario.write(target=REAL_TARGET)
    assert scenario.complaint().startswith(
        "target.toml: endpoints.http must be an address that starts with https:// or http://, "
        'got "https://a.example.org:port/event"'
    )


def test_ca_file_that_is_not_there_is_refused(scenario, tmp_path, monkeypatch):
    """A missing file of authorities is found before anybody connects."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert scenario.complaint("target.tls.ca_file=ca.pem") == (
        '--set: target.tls.ca_file must be a file that exists, got "ca.pem"\n'
        "hint: the resolved path is elsewhere/ca.pem"
    )
    trustme.CA().cert_pem.write_to_path("ca.pem")
    plan = scenario.plan("target.tls.ca_file=ca.pem")
    assert str(elsewhere / "ca.pem") == plan.target.tls.ca_file


def test_ca_file_without_certificates_is_refused(scenario, tmp_path, monkeypatch):
    """A file that TLS cannot use is found before anybody connects."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text("garbage", encoding="utf-8")
    expected = '--set: target.tls.ca_file must contain certificates in PEM format, got "ca.pem"'
    assert expected == scenario.complaint("target.tls.ca_file=ca.pem")


def test_named_variable_of_an_emulated_target_must_be_set(scenario, monkeypatch):
    """Whoever names a variable on an emulated target means it, to try a wrong key."""
    monkeypatch.delenv("WRONG_KEY", raising=False)
    complaint = scenario.complaint("target.auth.api_key_env=WRONG_KEY")
    assert complaint.endswith("hint: export WRONG_KEY=… before the run")


def test_proxy_of_another_kind_is_refused_by_name_where_a_target_would_use_it(
    scenario, monkeypatch
):
    """Before the run, and once for both addresses; an emulator is never behind a proxy."""
    for name, value in (("HTTP_HOST", "a.test"), ("REALTIME_HOST", "b.test"), ("REAL_KEY", "key")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:secret@proxy.test:1080")
    assert scenario.plan().target.emulated
    scenario.write(target=REAL_TARGET)
    first, hint = scenario.complaint().splitlines()
    assert first.startswith("environment: HTTPS_PROXY must be http://host:port, ")
    assert first.endswith("got socks5://…")
    assert "NO_PROXY" in hint
    monkeypatch.setenv("NO_PROXY", ".test")
    assert () == proxies_of(scenario.plan().target)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "a.test")
    assert ("proxy.test:3128",) == proxies_of(scenario.plan().target)


def test_variables_of_requests_must_be_set(scenario, monkeypatch):
    """Before a run, with the keys that name them; their values are no part of the plan."""
    for name in ("A_HEADER", "A_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    table = '[client]\nheaders_env = { X-Key = "A_HEADER" }\nsubprotocols = ["v1", "${A_TOKEN}"]\n'
    scenario.write(target=TARGET + table)
    rule = "must name an environment variable that is set"
    assert [
        f"target.toml: client.headers_env {rule}, got A_HEADER, which is not set",
        f"target.toml: client.subprotocols {rule}, got A_TOKEN, which is not set",
    ] == scenario.complaint().splitlines()[::2]
    monkeypatch.setenv("A_HEADER", "a-s3cret")
    monkeypatch.setenv("A_TOKEN", "b-s3cret")
    assert "s3cret" not in scenario.plan().model_dump_json()


def test_one_file_needs_no_environment(write, monkeypatch):
    """A target can be checked where its variables are not set."""
    monkeypatch.delenv("REAL_KEY", raising=False)
    assert "real" == load_scenario(write("real.toml", REAL_TARGET)).name


def test_file_of_neither_kind_is_refused(write):
    """A TOML file that is no scenario is told what would make it one."""
    with pytest.raises(ScenarioError, match="must be a workload or a target, got neither"):
        load_scenario(write("other.toml", "colour = 1\n"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_end_in_a_plan_or_a_scenario_error(scenario, content):
    """No file, however broken, ends in a traceback."""
    scenario.workload.write_bytes(content)
    assert scenario.complaint()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overrides=st.lists(st.text(max_size=30), min_size=1, max_size=3))
def test_any_text_as_override_ends_in_a_plan_or_a_scenario_error(scenario, overrides):
    """No --set, however broken, ends in a traceback."""
    assert isinstance(scenario.outcome(*overrides), Plan | ScenarioError)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["population.chatters", "slos", "joins", "publishing.event_bytes", "seed"]),
    value=st.from_regex(r'(-?[0-9]{1,30}(\.[0-9]+)?|"[a-z]*"|\[[0-9, ]*\]|\{[a-z]+ = 1\}|inf|nan)'),
)
def test_any_value_of_a_key_ends_in_a_plan_or_a_scenario_error(scenario, key, value):
    """Whatever TOML can write in place of a value is accepted or explained."""
    assert isinstance(scenario.outcome(f"{key}={value}"), Plan | ScenarioError)


ROOMS = ("channels.count=3", "channels.subscriptions_per_client=2", "channels.wildcard_share=0.05")
OWN_SERVICE = """\
name = "sse"
system = "server-sent-events"
auth.mode = "none"
[endpoints]
http = "http://localhost/pub/{channel}"
realtime = "http://localhost/sub/{channel}"
"""


def test_subscriptions_that_a_service_cannot_hold_are_refused_before_the_run(scenario):
    """Its target says that an address names one channel, and nothing of wildcards."""
    scenario.write(target=OWN_SERVICE + '[client]\nchannel_separator = ""\n')
    assert (
        "--set: channels.subscriptions_per_client must be at most 1 on server-sent-events, got 2\n"
        "hint: the [client] table of the target limits the subscriptions of one user\n"
        "--set: channels.wildcard_share must be 0 on server-sent-events, got 0.05\n"
        "hint: if your service supports wildcards, set target.client.wildcards = true"
    ) == scenario.complaint(*ROOMS)


ROOMS_OF_OWN_SERVICE = ("channels.count=3",)


@pytest.mark.parametrize(
    ("target", "key"),
    [
        (OWN_SERVICE.replace("sub/{channel}", "sub/lobby"), "endpoints.realtime"),
        (OWN_SERVICE.replace("pub/{channel}", "pub/lobby"), "endpoints.http"),
        (
            OWN_SERVICE.replace("server-sent-events", "polling").replace("sub/{channel}", "lobby"),
            "endpoints.realtime",
        ),
    ],
)
def test_address_that_names_no_channel_is_refused_where_there_are_several(scenario, target, key):
    """Else every room is the same one, and each message arrives three times too often."""
    scenario.write(target=target)
    assert 1 == scenario.plan().workload.channels.count
    assert (
        f"target.toml: {key} has no {{channel}}, but the workload has 3 channels\n"
        "hint: write {channel} where it names the room, or set channels.count = 1"
    ) == scenario.complaint(*ROOMS_OF_OWN_SERVICE)


def test_publish_may_name_its_channel_in_the_body(scenario):
    """Then one address is enough for all of them."""
    address = OWN_SERVICE.replace("pub/{channel}", "pub")
    scenario.write(
        target=address + '[client]\npublish_body = \'{"to":{channel},"data":{message}}\'\n'
    )
    assert 3 == scenario.plan(*ROOMS_OF_OWN_SERVICE).workload.channels.count


OWN_HUB = """\
name = "hub"
system = "api-gateway-websocket"
auth.mode = "none"
endpoints = { http = "http://localhost/", realtime = "ws://localhost/" }
"""


def test_publishing_that_a_system_lacks_is_refused_before_the_run(scenario):
    """API Gateway takes publishes over WebSocket only."""
    scenario.write(target=OWN_HUB)
    assert (
        "--set: publishing.transport must be websocket: this system takes publishes over WebSocket "
        'only, got "http"\n'
        'hint: set publishing.transport = "websocket"'
    ) == scenario.complaint("publishing.transport=http")


def test_hub_without_a_join_has_one_channel(scenario):
    """Nothing tells it of others."""
    scenario.write(target=OWN_HUB + '[client]\njoin_action = ""\n')
    told = scenario.complaint(*ROOMS_OF_OWN_SERVICE)
    assert 'channels.count must be 1 where client.join_action = "", got 3' in told


CHAT_BODY = '[client]\npublish_body = \'{"room":{channel},"text":{message}}\'\n'


def test_publish_body_that_is_no_json_with_a_message_is_refused(scenario):
    """A plain chat text needs its quotes; with another content type anything goes."""
    chat = 'message = "{message}"\n' + OWN_SERVICE
    scenario.write(target=chat + CHAT_BODY)
    told = scenario.complaint()
    assert (
        "client.publish_body with a sample message is not JSON: "
        '{"room":"/default/room-0","text":7zq0}, got '
    ) in told
    assert "hint: {message:string} is the message as a JSON string" in told
    scenario.write(target=chat + CHAT_BODY + 'publish_content_type = "text/plain"\n')
    assert scenario.plan()
    scenario.write(target=chat + CHAT_BODY.replace("{message}", "{message:string}"))
    assert scenario.plan()


def test_backend_that_keeps_a_user_in_one_channel_is_not_asked_for_more(scenario):
    """Else the last join would take the user out of all the others, and nobody would be told."""
    scenario.write(target='name = "chat"\nsystem = "api-gateway-websocket"\nemulated = true\n')
    several = ("channels.count=3", "channels.subscriptions_per_client=2")
    assert 2 == scenario.plan(*several).workload.channels.subscriptions_per_client
    told = scenario.complaint(*several, "target.client.channels_per_user=1")
    assert "must be at most 1 on api-gateway-websocket, got 2" in told


def test_service_that_is_said_to_take_wildcards_gets_them(scenario):
    """Several channels to an address are the rule."""
    scenario.write(target=OWN_SERVICE + "[client]\nwildcards = true\n")
    assert 2 == scenario.plan(*ROOMS).workload.channels.subscriptions_per_client


def test_separator_that_the_emulator_does_not_know_is_refused(scenario):
    """It would take all the names for one."""
    scenario.write(target='name = "poll"\nsystem = "polling"\nemulated = true\n')
    assert (
        "--set: target.client.channel_separator must be ',' where emulated = true, "
        'got "&topic="\n'
        "hint: the emulator knows no other; leave it out"
    ) == scenario.complaint("target.client.channel_separator=&topic=")


def test_subscriptions_beyond_the_systems_limit_are_refused(scenario):
    """AppSync Events has 200 subscriptions a connection."""
    many = ("population.subscribers=300", "channels.count=201")
    told = scenario.complaint(*many, "channels.subscriptions_per_client=201")
    assert "must be at most 200 on appsync-events, got 201" in told
    plan = scenario.plan(*many, "channels.subscriptions_per_client=200")
    assert 200 == plan.workload.channels.subscriptions_per_client
