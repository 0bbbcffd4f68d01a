import pytest
from pydantic import ValidationError

from harness.core.errors import MachineError, ScenarioError
from harness.core.system import HOW_TO_ADD
from harness.scenario.emulator import Emulator
from harness.scenario.plan import Plan
from harness.scenario.target import Target, api_key, variables_of
from harness.systems.appsync_events.options import Options
from tests.support.installing import CHAT
from tests.support.plans import make_plan


def target_of(**changes) -> Target:
    return Target.model_validate(
        {"name": "t", "system": "appsync-events", "emulated": True} | changes
    )


REAL = {
    "emulated": False,
    "endpoints": {"http": "https://${H}/event", "realtime": "wss://${H}.${R}/event/realtime"},
    "auth": {"api_key_env": "REAL_KEY"},
}


def test_emulated_target_gets_an_emulator_without_asking():
    """An emulated target of three lines has all of the emulator's options."""
    emulator = target_of().emulator
    assert (None, False, 0, ("default",)) == (
        emulator.processes,
        emulator.tls,
        emulator.port,
        tuple(namespace.name for namespace in emulator.namespaces),
    )


def test_real_target_has_no_emulator():
    """No emulator is made up for a real system."""
    assert target_of(**REAL).emulator is None


CONTRADICTIONS = """\
emulated = false
=> endpoints must be given unless emulated = true, got nothing
hint: write [endpoints] with http and realtime, or set emulated = true
target.toml: auth.api_key_env must be given unless emulated = true, got nothing
hint: name the environment variable that holds the API key, never the key itself

emulated = true
[endpoints]
http = 'http://a/event'
realtime = 'ws://a/event'
=> endpoints must not be given where emulated = true, got a table
hint: the emulator chooses its own addresses; remove [endpoints]

emulated = false
[emulator]
[endpoints]
http = 'http://a/e'
realtime = 'ws://a/e'
[auth]
api_key_env = 'PATH'
=> emulator must not be given unless emulated = true, got a table
hint: remove [emulator], or set emulated = true

emulated = true
[emulator]
namespaces = ['news']
=> emulator.namespaces must include channel_namespace = default, got ["news"]
hint: otherwise no client could subscribe

emulated = true
[client]
actoin_key = 'action'
=> client.actoin_key is not a key of [client], got a value that is not shown
hint: its keys are headers, headers_env, cookies, cookies_env, query, query_env, subprotocols

emulated = true
[client]
headers = { hOST = 'a', Accept = 'b' }
=> client.headers.hOST must not be given: the protocol itself needs this header, got "a"
hint: remove it

emulated = true
channel_namespace = '-x'
=> channel_namespace must be 1 to 50 letters, digits and inner hyphens, got "-x"
hint: for example x

emulated = true
[emulator]
port = 65536
api_keys = []
namespaces = ['default', 1]
=> emulator.port must be <= 65535, got 65536
target.toml: emulator.namespaces.1 must be a table, got 1
hint: write [[emulator.namespaces]] with its keys below
target.toml: emulator.api_keys must not be empty, got []

emulated = true
[auth]
api_key_env = 'da2-pasted-key'
=> auth.api_key_env must be the name of an environment variable, got a value that is not shown
hint: store the key in an environment variable and write its name here"""
"""Keys of a target, and what is said of them."""


@pytest.mark.parametrize("case", CONTRADICTIONS.split("\n\n"))
def test_target_that_contradicts_itself_is_explained(scenario, case):
    """Emulated and real do not mix, and a pasted key is not repeated."""
    text, _, complaint = case.partition("\n=> ")
    scenario.write(target=f"name = 't'\nsystem = 'appsync-events'\n{text}\n")
    assert f"target.toml: {complaint}" == scenario.complaint()


def test_key_of_an_emulated_target_is_the_emulators_first():
    """Without a variable, clients present the key the emulator accepts."""
    assert "da2-one" == api_key(target_of(emulator={"api_keys": ["da2-one", "da2-two"]}))


def test_key_of_a_named_variable_is_read_when_asked_for(monkeypatch):
    """A named variable is read at the call and goes before the emulator's own key."""
    target = target_of(auth={"api_key_env": "SOME_KEY"})
    monkeypatch.setenv("SOME_KEY", "da2-first")
    first = api_key(target)
    monkeypatch.setenv("SOME_KEY", "da2-second")
    assert ("da2-first", "da2-second") == (first, api_key(target))


def test_key_that_is_not_set_is_an_error_that_names_the_variable(monkeypatch):
    """A key that vanished from the environment is missed by its name."""
    monkeypatch.delenv("REAL_KEY", raising=False)
    with pytest.raises(ScenarioError) as caught:
        api_key(target_of(**REAL))
    assert (
        "t: auth.api_key_env must name an environment variable that is set, "
        "got REAL_KEY, which is not set\nhint: export REAL_KEY=… before the run"
    ) == str(caught.value)


def test_variables_of_a_target_are_named_once_each():
    """A target says which variables it needs before any is read."""
    assert ("H", "R", "REAL_KEY") == variables_of(target_of(**REAL))
    client = {"query_env": {"a": "Q"}, "subprotocols": ["v1", "${P}.x"]}
    assert ("H", "R", "Q", "P", "REAL_KEY") == variables_of(target_of(**REAL, client=client))
    assert () == variables_of(target_of())


def test_target_of_a_system_that_is_not_installed_says_how_to_add_one(install_system):
    """A near name is a slip; any other is a package that is missing, or a broken one."""
    complaints = {}
    install_system("broken-chat", "import nowhere_at_all")
    for system in ("poling", "mqtt", "broken-chat"):
        with pytest.raises(ValueError, match="must be one of api-gateway-websocket") as caught:
            target_of(system=system)
        complaints[system] = str(caught.value.errors()[0]["ctx"]["hint"])
    assert "did you mean polling?" == complaints["poling"]
    assert HOW_TO_ADD == complaints["mqtt"]
    assert complaints["broken-chat"].startswith(
        "broken-chat = broken_chat_of_chat_system:SYSTEM of chat-system 1.2: could not be loaded"
    )


SSE = {
    "system": "server-sent-events",
    "emulated": False,
    "endpoints": {"http": "http://a/pub/{channel}", "realtime": "http://a/sub/{channel}"},
    "auth": {"mode": "none"},
}


def test_system_that_speaks_plain_http_takes_its_addresses_and_needs_no_key():
    """Which schemes subscribers use is the system's own affair."""
    target = target_of(**SSE)
    assert ("http://a/sub/{channel}", "") == (target.endpoints.realtime, api_key(target))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"endpoints": {"http": "http://a/pub", "realtime": "ws://a/sub"}},
            "must be an address that starts with https:// or http://",
        ),
        ({"auth": {"mode": "none", "api_key_env": "KEY"}}, 'must not be given where mode = "none"'),
    ],
)
def test_target_that_its_system_cannot_be_is_refused(changes, complaint):
    """A WebSocket address, a key for nobody."""
    with pytest.raises(ValueError, match=complaint):
        target_of(**SSE | changes)


def test_emulated_target_of_a_system_without_an_emulator_is_refused(install_system):
    """Nobody plays it."""
    install_system("chat")
    with pytest.raises(ValueError, match="this system has no emulator"):
        target_of(system="chat")


def test_emulator_has_the_options_of_its_system():
    """A system's own keys are found in its folder, and survive the way to the workers."""
    target = target_of(emulator={"namespaces": ["default", "news"], "tls": True})
    assert isinstance(target.emulator, Options)
    plan = make_plan().model_copy(update={"target": target})
    received = Plan.model_validate_json(plan.model_dump_json())
    assert plan == received
    assert "news" == received.target.emulator.namespaces[1].name


def test_system_without_options_has_the_common_ones(install_system):
    """A system that brings no options of its own is emulated with those all have."""
    install_system("chat", CHAT.replace("client=", "emulator='{module}', client="))
    target = target_of(system="chat", channel_namespace="any")
    assert (Emulator, "") == (type(target.emulator), api_key(target))


def test_options_that_cannot_be_imported_are_one_sentence(install_system):
    """The package is installed, and a part of it is missing."""
    install_system("chat", CHAT.replace("client=", "client_options='nowhere:Options', client="))
    with pytest.raises(MachineError, match="its client_options nowhere:Options could not be"):
        target_of(system="chat")


@pytest.mark.parametrize(
    ("system", "complaint"), [("polling", "Input should be 'api_key' or 'none'"), ("hybrid", "iam")]
)
def test_auth_mode_of_another_system_is_refused(system, complaint):
    """Signed requests are for AppSync Events."""
    with pytest.raises(ValueError, match=complaint):
        target_of(system=system, auth={"mode": "iam"})


WRONG_OPTIONS = """\
api_keys = [{key = 'da2-x', expires = 2026-01-01T00:00:00}]
emulator.api_keys.0.expires must have a time zone, got "2026-01-01 00:00:00"

namespaces = [{name = 'default', code = 'a.js', on_publish = 'a.py:f'}]
emulator.namespaces.0.code must not have both code and Python functions, got "a.js"

namespaces = ['default', {name = 'news', code = 1}]
emulator.namespaces.1.code must be text, got 1
hint: put it in double quotes: "1"

namespaces = ['default', '-x']
emulator.namespaces.1 must be 1 to 50 letters, digits and inner hyphens, got "-x"
hint: for example x

quotas = {connect_per_s = 1}
emulator.quotas.connect_per_s is not a key of [emulator.quotas], got 1
hint: did you mean connects_per_s?

connection_auth_modes = ['iam', 'apikey']
emulator.connection_auth_modes.1 must be one of api_key, iam, user_pool, oidc, lambda, got "apikey"
hint: did you mean api_key?

default_publish_auth_modes = ['iam', 'lambda']
emulator.iam_users must not be empty with auth mode iam, got nothing
hint: write [[emulator.iam_users]] with access_key_id and secret_access_key

lambda_authorizer = {function = 'authorizer'}
emulator.lambda_authorizer.function must match ^[^:]+:[A-Za-z_][A-Za-z0-9_]*$, got "authorizer"
hint: `file.py:function`, relative to this file, or `package.module:function`."""
"""An option of an emulator, and what is said of it."""


@pytest.mark.parametrize("case", WRONG_OPTIONS.split("\n\n"))
def test_wrong_options_of_a_system_are_named_by_their_place(scenario, case):
    """A system's own keys get the same sentences as all others, with their whole path."""
    option, _, complaint = case.partition("\n")
    head = "name = 't'\nsystem = 'appsync-events'\nemulated = true\n[emulator]\n"
    scenario.write(target=head + option)
    for name in ("a.js", "a.py"):
        (scenario.target.parent / name).touch()
    assert f"target.toml: {complaint}" == scenario.complaint()


@pytest.mark.parametrize("message", ["", "hello", "{message}{message}", "{Message}"])
def test_message_without_one_place_for_the_token_is_refused(message):
    """Nothing could be recognised, or twice."""
    values = {"name": "a", "system": "appsync-events", "emulated": True, "message": message}
    with pytest.raises(ValidationError, match="exactly once"):
        Target.model_validate(values)
