"""Every kind of credentials against the emulator, which verifies them and shares no code."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import botocore.auth
import pytest
from botocore.credentials import Credentials

from harness.core.errors import NotInstalledError
from harness.net.client import Access, JoinError
from harness.scenario.client_options import WebSocketOptions
from harness.systems.appsync_events.auth import Auth
from harness.systems.appsync_events.client import sigv4 as client_sigv4
from harness.systems.appsync_events.client import tokens as client_tokens
from harness.systems.appsync_events.client.api import AppSyncEventsApi
from harness.systems.appsync_events.client.credentials import credentials_for
from harness.systems.appsync_events.client.tokens import CredentialsError
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import issue_token as issue
from tests.support.appsync_signing import REALTIME_HEADERS, SIGNED_BY_AMPLIFY
from tests.support.listeners import Listener, refusal_of, wait_for
from tests.support.servers import answering_posts
from tests.support.waiting import PATIENCE_S

ROOM = "/default/room-0"
SECRET = "a-secret-of/the-test"
PASSWORD = "Passw0rd-of-the-test"
AUTHORIZER = """
def judge(event):
    return {"isAuthorized": event["authorizationToken"].startswith("let-in"), "ttlOverride": 0}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """An emulator that lets in every mode but an API key."""
    function = tmp_path_factory.mktemp("authorizer") / "authorizer.py"
    function.write_text(AUTHORIZER, encoding="utf-8")
    modes = ("iam", "user_pool", "oidc", "lambda")
    options = {
        "connection_auth_modes": modes,
        "default_publish_auth_modes": modes,
        "default_subscribe_auth_modes": modes,
        "iam_users": [
            {"access_key_id": "AKIDTEST", "secret_access_key": SECRET, "session_token": "TOK+/="}
        ],
        "lambda_authorizer": {"function": f"{function}:judge"},
    }
    with AppSyncEventsEmulator.start(Options.model_validate(options)) as running:
        yield running


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """Credentials of the emulator's user, as the environment gives them; no other is found."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOK+/=")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


@pytest.fixture
def api(emulator):
    """Make APIs on the emulator with an ``[auth]`` table, closed after the test."""
    base = f"127.0.0.1:{emulator.port}/event"
    with contextlib.ExitStack() as made:

        def make(query="", **auth):
            options = WebSocketOptions(query={"of": "the target/1"})
            addresses = (f"ws://{base}/realtime{query}", f"http://{base}{query}")
            access = Access(*addresses, "", auth=Auth(**auth), options=options)
            return made.enter_context(contextlib.closing(AppSyncEventsApi(access)))

        yield make


class User(Listener):
    """A listener with a number, as sessions have."""

    def __init__(self, number=0):
        super().__init__()
        self.number = number


def join(made, number=0):
    client = made.client([ROOM], {}, User(number))
    client.join(time.monotonic() + PATIENCE_S)
    return client


def use_all(made, number=0):
    """Connect, subscribe and publish over both transports; return when all has arrived."""
    client = join(made, number)
    client.publish("p", ROOM, [b'{"text":"<&> /\xc3\xa9"}', b"2"])
    answer = made.publish_over_http("h", ROOM, [b'"over http"'])
    assert (True, "") == (answer.accepted, answer.message)
    wait_for(lambda: len(client.listener.events) == 3 and client.listener.answers)
    assert client.listener.answers[0].accepted
    client.drop()


# The signatures of the real Amplify client.


@pytest.mark.parametrize("vector", SIGNED_BY_AMPLIFY.values(), ids=SIGNED_BY_AMPLIFY)
def test_signatures_are_those_of_the_amplify_client(monkeypatch, vector):
    """Connect, subscribe and publish over both transports sign as the real client did."""
    assert client_sigv4.REALTIME_HEADERS == REALTIME_HEADERS
    moment = datetime.strptime(vector.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    user = Credentials("AKIDEXAMPLE", "SECRET", "TOK")
    made = client_sigv4.signed(vector.body, vector.headers, "localhost:18443", user, "us-east-1")
    assert made["Authorization"].endswith(f"Signature={vector.signature}")
    assert "TOK" == made["X-Amz-Security-Token"]
    assert "localhost:18443" == made["host"]
    assert vector.date == made["X-Amz-Date"]


# AWS credentials.


def test_signed_user_may_do_everything(api, aws):
    """The emulator finds each step's signature good, whatever characters the events hold."""
    use_all(api(mode="iam"))


@pytest.mark.parametrize("query", ["?", "?zone=1&a=b:c&&flag&a=%7E+2"])
def test_query_of_a_publish_is_signed_in_whatever_form_it_is_sent(api, aws, query):
    """Over HTTP; over WebSocket no client signs one."""
    use_all(api(query, mode="iam"))


def test_profile_is_signed_with(api, aws, tmp_path):
    """A profile of the AWS configuration takes the place of the environment."""
    aws.delenv("AWS_DEFAULT_REGION")
    (tmp_path / "config").write_text("[profile chat]\nregion = us-east-1\n", encoding="utf-8")
    (tmp_path / "credentials").write_text(
        f"[chat]\naws_access_key_id = AKIDTEST\naws_secret_access_key = {SECRET}\n"
        "aws_session_token = TOK+/=\n",
        encoding="utf-8",
    )
    use_all(api(mode="iam", profile="chat"))
    with pytest.raises(CredentialsError, match=r"auth.profile: The config profile \(other\)"):
        api(mode="iam", profile="other")


def test_users_who_join_share_a_signature_and_publishes_do_not(api, aws):
    """A join costs no signature of its own; each publish has one, since its body is its own."""
    made = api(mode="iam").credentials
    assert made.authorization(1, b"{}", reusable=True) is made.authorization(
        2, b"{}", reusable=True
    )
    first, second = (made.authorization(1, body, reusable=False) for body in (b"1", b"2"))
    assert first["Authorization"] != second["Authorization"]
    assert [b"{}"] == list(made._made)


def test_shared_signature_is_made_anew_before_the_service_would_refuse_it(api, aws, monkeypatch):
    """A minute old, it is replaced."""
    made = api(mode="iam").credentials
    first = made.authorization(1, b"{}", reusable=True)
    later_s = time.monotonic() + client_sigv4.REUSED_FOR_S
    monkeypatch.setattr(client_sigv4.time, "monotonic", lambda: later_s)
    assert made.authorization(1, b"{}", reusable=True) is not first


def test_replaced_credentials_sign_from_then_on(aws, monkeypatch):
    """Temporary credentials that botocore has replaced are taken in the background."""
    monkeypatch.setattr(client_sigv4, "LOOK_EVERY_S", 0.02)
    made = client_sigv4.SignedCredentials("http://localhost/event", Auth(mode="iam"))
    before = made.authorization(0, b"{}", reusable=True)
    made._source = Credentials("AKIDNEXT", "OTHER")
    wait_for(lambda: "AKIDNEXT" in made.authorization(0, b"{}", reusable=True)["Authorization"])
    assert "AKIDTEST" in before["Authorization"]
    made.close()


def test_wrong_secret_is_told_in_one_line(api, aws):
    """What the service expected to be signed is left out: it holds the session token."""
    aws.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(JoinError) as caught:
        join(api(mode="iam"))
    assert "init" == caught.value.stage
    assert caught.value.message.startswith("The request signature we calculated does not match")
    assert "\n" not in caught.value.message


def test_no_credentials_and_no_region_are_told(api, aws):
    """Each in one sentence with a hint."""
    aws.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(CredentialsError, match=r"auth.region: no AWS region found"):
        api(mode="iam")
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match=r"auth: no AWS credentials found"):
        api(mode="iam")


def test_region_is_in_the_name_of_a_real_api(aws):
    """Nobody has to write it a second time."""
    aws.delenv("AWS_DEFAULT_REGION")
    address = "https://abc.appsync-api.eu-west-1.amazonaws.com:443/event"
    made = client_sigv4.SignedCredentials(address, Auth(mode="iam"))
    shown = made.authorization(0, b"{}", reusable=True)
    assert "/eu-west-1/appsync/aws4_request" in shown["Authorization"]
    assert "abc.appsync-api.eu-west-1.amazonaws.com" == shown["host"]
    made.close()


def test_botocore_is_loaded_for_the_modes_that_need_it_only():
    """A run with an API key or tokens does not pay for it."""
    code = (
        "import sys, harness.systems.appsync_events.client.api; sys.exit('botocore' in sys.modules)"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


# Tokens.


@pytest.mark.parametrize("mode", ["user_pool", "oidc"])
def test_tokens_of_a_file_are_given_to_users_in_turn(api, emulator, write, mode):
    """User k shows line k, from the top again; the emulator verifies each."""
    tokens = [issue(emulator, mode=mode, subject=f"user-{place}") for place in range(3)]
    made = api(mode="oidc", token_file=str(write("tokens", "\n".join(tokens) + "\n\n")))
    for number in range(4):
        use_all(made, number)
    assert [*tokens, tokens[0]] == [
        made.credentials.authorization(number, b"", reusable=True)["Authorization"]
        for number in range(4)
    ]


def test_lambda_token_comes_from_the_environment(api, monkeypatch):
    """An opaque token never expires; a wrong one is refused."""
    monkeypatch.setenv("CHAT_TOKEN", "let-in-please")
    use_all(api(mode="lambda", token_env="CHAT_TOKEN"))
    monkeypatch.setenv("CHAT_TOKEN", "unknown")
    assert ("init", "UnauthorizedException") == refusal_of(
        join, api(mode="lambda", token_env="CHAT_TOKEN")
    )


ISSUE = """
import json, sys, urllib.request
body = json.dumps({"mode": "oidc", "lifetime_s": float(sys.argv[2])}).encode()
print(json.loads(urllib.request.urlopen(sys.argv[1], body).read())["token"])
"""


def test_token_of_a_command_is_replaced_before_it_expires(api, emulator):
    """A connection that outlives its first token goes on publishing with a newer one."""
    url = f"http://127.0.0.1:{emulator.port}/_emulator/tokens"
    made = api(mode="oidc", token_command=(sys.executable, "-c", ISSUE, url, "3"))
    client = join(made)
    first = made.credentials.authorization(0, b"", reusable=True)["Authorization"]
    expires_s = client_tokens.expires_at_s(first)
    wait_for(lambda: time.time() > expires_s + 0.2)
    client.publish("late", ROOM, [b"1"])
    wait_for(lambda: client.listener.answers)
    assert client.listener.answers[0].accepted
    assert first != made.credentials.authorization(0, b"", reusable=True)["Authorization"]
    client.drop()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("/nowhere/tool",), "auth.token_command: /nowhere/tool: No such file or directory"),
        (("false", "--token=abc"), "auth.token_command: false ended with exit code 1"),
        (("true",), "auth.token_command: gave no token"),
    ],
)
def test_command_that_gives_no_token_is_told_without_its_arguments(api, command, sentence):
    """In one sentence, before anybody joins."""
    with pytest.raises(CredentialsError) as caught:
        api(mode="oidc", token_command=command)
    assert str(caught.value).startswith(sentence)
    assert "abc" not in str(caught.value)


def test_expired_token_of_the_environment_is_told(api, emulator, monkeypatch):
    """Before anybody joins, and without the token."""
    token = issue(emulator, mode="oidc", lifetime_s=-5)
    monkeypatch.setenv("CHAT_TOKEN", token)
    with pytest.raises(CredentialsError, match="the token of identity 0 has expired") as caught:
        api(mode="oidc", token_env="CHAT_TOKEN")
    assert token not in str(caught.value)


def test_token_that_expires_before_its_user_joins_is_read_anew(monkeypatch):
    """One that had expired when it was read is not: its source gives no better one."""
    clock = SimpleNamespace(time=lambda: 50.0)
    monkeypatch.setattr(client_tokens, "time", clock)
    monkeypatch.setattr(client_tokens, "expires_at_s", float)
    read = iter(("100\n100", "100\n200")).__next__
    tokens = client_tokens.ListedTokens("auth", read)
    assert "100" == tokens.fetch(0)
    clock.time = lambda: 150.0
    assert ["200", "100"] == [tokens.fetch(1), tokens.fetch(0)]


@pytest.mark.parametrize("text", ["opaque", "a.b.c", "a.e30.c", "a.W10.c", "a.eyJleHAiOiJ4In0.c"])
def test_text_that_tells_no_end_never_expires(text):
    """Opaque tokens, and what only looks like a JSON Web Token."""
    assert float("inf") == client_tokens.expires_at_s(text)


# A user pool, whose service is played here as botocore calls it.


class UserPool:
    """Answers InitiateAuth and AdminInitiateAuth with tokens of the emulator."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.calls = []
        self.lifetime_s = 3600.0

    def answer(self, request, body):
        asked = json.loads(body)
        operation, flow = request.headers["x-amz-target"].rpartition(".")[2], asked["AuthFlow"]
        self.calls.append((operation, flow, "authorization" in request.headers))
        status, answer = self.tokens(flow, asked["AuthParameters"])
        return status, json.dumps(answer).encode()

    def tokens(self, flow, given):
        refused = {"__type": "NotAuthorizedException", "message": "Incorrect username or password."}
        if flow == "REFRESH_TOKEN_AUTH":
            user = given["REFRESH_TOKEN"].removeprefix("again-")
        elif given["PASSWORD"] != PASSWORD:
            return 400, refused
        else:
            user = given["USERNAME"]
        how = {"subject": user, "lifetime_s": self.lifetime_s, "mode": "user_pool"}
        access, identity = (issue(self.emulator, token_use=use, **how) for use in ("access", "id"))
        result = {"AccessToken": access, "IdToken": identity, "ExpiresIn": 3600}
        if flow != "REFRESH_TOKEN_AUTH":
            result["RefreshToken"] = f"again-{user}"
        return 200, {"AuthenticationResult": result, "ChallengeParameters": {}}


@pytest.fixture
def pool(emulator, aws):
    """A user pool that the AWS configuration points at."""
    made = UserPool(emulator)
    aws.setenv("TEST_PASSWORD", PASSWORD)
    with answering_posts(made.answer) as port:
        aws.setenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", f"http://127.0.0.1:{port}")
        yield made


@pytest.fixture
def users(write):
    """Three test users, as a spreadsheet would have them."""
    file = write("users.csv", "ann, Ann\nben\n\ncyd,\n")
    return {"client_id": "app", "users_file": str(file), "password_env": "TEST_PASSWORD"}


@pytest.mark.parametrize(
    ("how", "call"),
    [
        ({}, ("InitiateAuth", "USER_PASSWORD_AUTH", False)),
        (
            {"sign_in": "admin_user_password", "user_pool_id": "us-east-1_x", "token_use": "id"},
            ("AdminInitiateAuth", "ADMIN_USER_PASSWORD_AUTH", True),
        ),
    ],
)
def test_users_of_a_pool_sign_in_when_they_join(api, pool, users, how, call):
    """Each once, whatever it does afterwards; the emulator verifies what they show."""
    made = api(mode="cognito", **users, **how)
    for number in (0, 1, 1, 4):
        use_all(made, number)
    assert [call] * 2 == pool.calls


def test_token_of_a_pool_is_refreshed_during_the_run(api, pool, users):
    """By the refresh token, before it expires."""
    pool.lifetime_s = 2.0
    made = api(mode="cognito", **users)
    wait_for(lambda: len(pool.calls) >= 2)
    assert ["USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"] == [flow for _, flow, _ in pool.calls[:2]]
    use_all(made)


def test_wrong_password_is_told_without_it(api, pool, users, aws, caplog):
    """In one sentence that names the user; nor does debugging log what was sent."""
    aws.setenv("TEST_PASSWORD", "wrong-Passw0rd")
    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialsError) as caught:
        api(mode="cognito", **users)
    assert "auth: user ann is not signed in (An error occurred (NotAuthorizedException)" in str(
        caught.value
    )
    assert "wrong-Passw0rd" not in str(caught.value) + caplog.text


# What a target may say.


@pytest.mark.parametrize(
    ("auth", "complaint"),
    [
        ({"mode": "oidc"}, "must have exactly one of token_env, token_file, token_command"),
        ({"mode": "lambda", "token_env": "A", "token_file": "b"}, "must have exactly one of"),
        ({"mode": "iam", "token_env": "A"}, 'must not be given where mode = "iam"'),
        ({"mode": "cognito", "client_id": "a"}, 'must be given where mode = "cognito"'),
        ({"mode": "none", "sign_in": "admin_user_password"}, "must not be given where"),
    ],
)
def test_keys_of_another_mode_are_refused(auth, complaint):
    """Each mode has keys of its own."""
    with pytest.raises(ValueError, match=complaint):
        Auth(**auth)


@pytest.mark.parametrize("module", ["sigv4", "cognito"])
def test_mode_without_botocore_names_the_extra(monkeypatch, module):
    """The base installation has no botocore; API keys and tokens need none."""
    for one in (module, "sigv4"):
        name = f"harness.systems.appsync_events.client.{one}"
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    keys = {"iam": {}, "cognito": {"client_id": "c", "users_file": "u", "password_env": "P"}}
    mode = "iam" if module == "sigv4" else "cognito"
    access = Access(
        "wss://h", "https://h", "", auth=Auth.model_validate({"mode": mode, **keys[mode]})
    )
    with pytest.raises(NotInstalledError) as caught:
        credentials_for(access, "https://h/event")
    assert f'auth.mode = "{mode}"' == caught.value.where
    assert "pip install 'fanout-harness[aws]'" == caught.value.hint
