import asyncio
import base64
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import ScenarioError
from harness.systems.appsync_events.emulator.access import (
    Access,
    Caller,
    Identity,
    Request,
    allows,
    resource_arn,
)
from harness.systems.appsync_events.emulator.tokens import KEY_FILE
from harness.systems.appsync_events.options import Namespace, Options, Statement
from harness.systems.appsync_events.wire import WireError
from tests.support.appsync_peers import KEY
from tests.support.appsync_signing import SECRET, compact, sign

EVERY_MODE = ("api_key", "iam", "user_pool", "oidc", "lambda")
UNAUTHORIZED = WireError("UnauthorizedException", "You are not authorized to make this call.")
UPGRADE = Caller({"User-Agent": "test"}, "realtime.example", b"", "192.0.2.7")
BODY = {"channel": "default/a", "events": ['{"a":1}', '"<é>"']}
SIGNED_BODY = compact(BODY).encode()
USER = {"access_key_id": "AKID", "secret_access_key": SECRET}

AUTHORIZER = """
def judge(event):
    token, context = event["authorizationToken"], event["requestContext"]
    return {
        "isAuthorized": token.startswith("let-me"),
        "handlerContext": {"channel": context.get("channel"), "token": token},
    }
"""


@pytest.fixture
def access(tmp_path, monkeypatch):
    """Make the access of an API that lets every mode in, unless a test says otherwise."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "auth.py").write_text(AUTHORIZER)

    def make(clock=time.time, **changes):
        options = {
            "api_keys": ("da2-test", "da2-other"),
            "iam_users": (USER,),
            "lambda_authorizer": {"function": "auth.py:judge"},
            "connection_auth_modes": EVERY_MODE,
            "default_publish_auth_modes": EVERY_MODE,
            "default_subscribe_auth_modes": EVERY_MODE,
        }
        return Access(Options.model_validate({**options, **changes}), tmp_path, clock)

    return make


def connect(access, authorization, caller=UPGRADE):
    return asyncio.run(access.connect(authorization, caller))


def subscribe(access, authorization, channel="/default/*", namespace=None, caller=UPGRADE):
    namespace = namespace or Namespace(name="default")
    return asyncio.run(access.subscribe(namespace, channel, Request({}, authorization, caller)))


def publish(access, authorization, body=None, namespace=None, caller=UPGRADE, *, over_http=False):
    namespace, body = namespace or Namespace(name="default"), body or BODY
    request = Request(body, authorization, caller, over_http)
    return asyncio.run(access.publish(namespace, body["channel"], request))


def signed(body, secret=SECRET):
    """Return an authorization object that botocore signs."""
    return sign(body, host="localhost:9", access_key="AKID", secret=secret, headers={})


def issue(access, **request):
    return json.loads(access.issuer.issue(json.dumps(request).encode()))["token"]


def modes_let_in(access, namespace):
    """Return which credentials may subscribe and publish in a namespace."""
    shown = {
        "api_key": [KEY, KEY],
        "iam": [signed(b'{"channel":"/default/*"}'), signed(SIGNED_BODY)],
        "lambda": [{"Authorization": "let-me-in"}] * 2,
    }
    return {
        mode: [
            isinstance(subscribe(access, for_subscribe, namespace=namespace), Identity),
            isinstance(publish(access, for_publish, namespace=namespace), Identity),
        ]
        for mode, (for_subscribe, for_publish) in shown.items()
    }


# API keys.


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key"])
@pytest.mark.parametrize("key", ["da2-test", "da2-other"])
def test_any_known_api_key_is_let_in_at_every_step(access, name, key):
    """Names have no case, and an API key has no claims."""
    judge, shown = access(), {name: key}
    judged = [connect(judge, shown), subscribe(judge, shown), publish(judge, shown)]
    assert [Identity("api_key", None)] * 3 == judged


@pytest.mark.parametrize("key", ["", "da2-tes", "da2-test ", "DA2-TEST", "dä2", "\ud800"])
def test_wrong_api_key_is_unauthorized(access, key):
    """Every key that is not known is refused alike."""
    assert UNAUTHORIZED == connect(access(), {"x-api-key": key})


def test_api_key_is_refused_from_the_moment_it_expires(access):
    """Each check looks at the time anew, as at the service; other keys stay good."""
    expires = datetime(2027, 1, 1, tzinfo=UTC)
    now_s = expires.timestamp() - 1
    judge = access(lambda: now_s, api_keys=({"key": "da2-test", "expires": expires}, "da2-other"))
    assert Identity("api_key", None) == connect(judge, KEY)
    now_s += 1
    assert UNAUTHORIZED == connect(judge, KEY)
    assert Identity("api_key", None) == connect(judge, {"x-api-key": "da2-other"})


@pytest.mark.parametrize("authorization", [{}, {"host": "localhost"}, {"Authorization": ""}])
def test_no_credentials_are_unauthorized(access, authorization):
    """Whatever modes there are."""
    judge = access()
    assert [UNAUTHORIZED] * 3 == [f(judge, authorization) for f in (connect, subscribe, publish)]


# Modes.


@pytest.mark.parametrize("allowed", EVERY_MODE)
def test_credentials_of_a_mode_that_is_not_let_in_are_unauthorized(access, allowed):
    """However good they are: the step's own modes decide."""
    made = access()
    shown = {
        "api_key": KEY,
        "iam": signed(b"{}"),
        "user_pool": {"Authorization": issue(made)},
        "oidc": {"Authorization": issue(made, mode="oidc")},
        "lambda": {"Authorization": "let-me-in"},
    }
    judge = access(connection_auth_modes=(allowed,))
    judged = {mode: connect(judge, credentials) for mode, credentials in shown.items()}
    assert allowed == judged.pop(allowed).mode
    assert {UNAUTHORIZED} == set(judged.values())


def test_namespace_has_modes_of_its_own(access):
    """They replace the API's, for subscribing and publishing apart."""
    api = {"default_subscribe_auth_modes": ("api_key",), "default_publish_auth_modes": ("iam",)}
    own = Namespace(
        name="default", subscribe_auth_modes=("lambda",), publish_auth_modes=("api_key", "lambda")
    )
    plain = modes_let_in(access(**api), Namespace(name="default"))
    assert {"api_key": [True, False], "iam": [False, True], "lambda": [False, False]} == plain
    changed = modes_let_in(access(**api), own)
    assert {"api_key": [False, True], "iam": [False, False], "lambda": [True, True]} == changed


def test_api_key_besides_other_credentials_counts_only_where_keys_are_let_in(access):
    """A client may send both; the step decides which one is looked at."""
    both = {"x-api-key": "da2-wrong", "Authorization": "let-me-in"}
    assert UNAUTHORIZED == connect(access(), both)
    assert "lambda" == connect(access(connection_auth_modes=("lambda",)), both).mode


# IAM.


def test_signature_is_let_in_at_every_step_with_its_claims(access):
    """Connect, subscribe, and publish over WebSocket and HTTP; handlers see the user."""
    judge, raw = access(), b'{ "channel": "default/a", "events": ["1"] }'
    over_http = Caller(signed(raw), "localhost:9", raw)
    judged = [
        connect(judge, signed(b"{}")),
        subscribe(judge, signed(b'{"channel":"/default/*"}')),
        publish(judge, signed(SIGNED_BODY)),
        publish(judge, over_http.headers, json.loads(raw), caller=over_http, over_http=True),
    ]
    assert ["iam"] * 4 == [one.mode for one in judged]
    claims = judged[0].claims
    assert "000000000000" == claims["accountId"]
    assert "local" == claims["username"]
    assert "arn:aws:iam::000000000000:user/local" == claims["userArn"]
    assert ["192.0.2.7"] == claims["sourceIp"]


def test_signature_of_one_step_is_no_good_for_another(access):
    """What is signed differs from step to step."""
    judge = access()
    refused = [
        connect(judge, signed(b'{"channel":"/default/*"}')),
        subscribe(judge, signed(b"{}")),
        subscribe(judge, signed(b'{"channel":"/default/other"}')),
        publish(judge, signed(b'{"channel":"default/a"}')),
        publish(judge, signed(SIGNED_BODY), over_http=True),
        publish(judge, signed(SIGNED_BODY), {**BODY, "events": ["2"]}),
    ]
    assert ["BadRequestException"] * 6 == [one.error_type for one in refused]


def test_publish_without_events_is_judged_all_the_same(access):
    """What is missing is told later, to those who may publish."""
    shown = signed(b'{"channel":"default/a","events":[]}')
    assert "iam" == publish(access(), shown, {"channel": "default/a"}).mode


@pytest.mark.parametrize(
    ("expected", "statement"),
    [
        ([True, True, True], {}),
        ([True, False, False], {"actions": ["appsync:EventConnect"]}),
        ([False, True, True], {"resources": ["*/channelNamespace/default"]}),
        ([False, False, False], {"resources": ["*/channelNamespace/other"]}),
        (
            [True, False, False],
            {"resources": ["arn:aws:appsync:us-east-1:000000000000:apis/local"]},
        ),
    ],
)
def test_iam_user_may_do_what_its_statements_say(access, expected, statement):
    """Actions and resources are those of the step and its namespace."""
    judge = access(iam_users=(USER | {"statements": [statement]},))
    judged = [
        connect(judge, signed(b"{}")),
        subscribe(judge, signed(b'{"channel":"/default/*"}')),
        publish(judge, signed(SIGNED_BODY)),
    ]
    assert expected == [isinstance(one, Identity) for one in judged]
    assert {UNAUTHORIZED} >= {one for one in judged if isinstance(one, WireError)}


# Tokens.


def test_user_pool_token_is_let_in_with_and_without_bearer(access):
    """Handlers see who it is and which groups they are in."""
    judge = access()
    token = issue(judge, subject="alice", groups=["a", "b"])
    for shown in (token, f"Bearer {token}", f"bearer {token}"):
        found = connect(judge, {"authorization": shown})
        assert "user_pool" == found.mode
    claims = dict(found.claims)
    assert "alice" == claims.pop("claims")["sub"]
    assert {
        "sub": "alice",
        "username": "alice",
        "groups": ["a", "b"],
        "issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_local",
        "sourceIp": ["192.0.2.7"],
        "defaultAuthStrategy": "ALLOW",
    } == claims


def test_oidc_token_is_let_in_beside_a_user_pool(access):
    """Which of the two it is shows in its issuer."""
    judge = access()
    found = connect(judge, {"Authorization": issue(judge, mode="oidc", subject="bob")})
    assert ("oidc", "bob") == (found.mode, found.claims["sub"])
    assert {"sub", "issuer", "claims"} == set(found.claims)


def test_expired_token_is_unauthorized_at_the_next_step(access):
    """A token is checked at each message; the connection it opened may stay."""
    # Ahead of the clock it is issued by, which goes on meanwhile: no token is from the future.
    now_s = time.time() + 10
    judge = access(lambda: now_s)
    shown = {"Authorization": issue(judge, lifetime_s=100)}
    assert "user_pool" == subscribe(judge, shown).mode
    now_s += 101
    assert UNAUTHORIZED == subscribe(judge, shown)


def test_key_pair_is_shared_by_all_processes(access, tmp_path):
    """A token that one process issues is let in by another."""
    one, other = access(), access()
    assert "user_pool" == connect(other, {"Authorization": issue(one)}).mode


def test_no_key_pair_is_made_where_no_token_is_let_in(tmp_path):
    """Nor are tokens issued: the emulator starts at once."""
    assert Access(Options(), tmp_path).issuer is None
    assert not (tmp_path / KEY_FILE).exists()


# Lambda.


def test_opaque_token_is_judged_by_the_function(access):
    """Its context reaches handlers, and its channel has a leading slash however it was written."""
    judge = access()
    assert Identity(
        "lambda", {"handlerContext": {"channel": "/default/a", "token": "let-me-in"}}
    ) == subscribe(judge, {"Authorization": "let-me-in"}, "default/a/")
    assert UNAUTHORIZED == subscribe(judge, {"Authorization": "let-them-in"})


def test_text_with_the_form_of_a_jwt_goes_to_the_function_where_it_is_alone(access):
    """Only where both kinds are let in does the form decide."""
    jwt_like = {"Authorization": "let-me.e30.x"}
    assert UNAUTHORIZED == connect(access(), jwt_like)
    assert "lambda" == connect(access(connection_auth_modes=("lambda",)), jwt_like).mode
    assert UNAUTHORIZED == connect(
        access(connection_auth_modes=("oidc",)), {"Authorization": "let-me-in"}
    )


def test_function_that_cannot_be_loaded_is_a_scenario_error(access):
    """It is found when the emulator starts, not when the first client comes."""
    with pytest.raises(ScenarioError, match=r"lambda_authorizer\.function must name a file"):
        access(lambda_authorizer={"function": "absent.py:judge"})


# Anything.


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory):
    """One access that lets in every mode but Lambda's."""
    options = {
        "connection_auth_modes": EVERY_MODE[:-1],
        "default_publish_auth_modes": EVERY_MODE[:-1],
        "iam_users": (USER,),
    }
    return Access(Options.model_validate(options), tmp_path_factory.mktemp("open"))


ANY_TEXT = st.text(st.characters(), max_size=40)
NAMES = st.sampled_from(
    ["authorization", "x-api-key", "host", "x-amz-date", "x-amz-security-token"]
)
SIGNATURES = st.builds(
    "AWS4-HMAC-SHA256 Credential=AKID/{}/us-east-1/appsync/aws4_request, "
    "SignedHeaders=host{}, Signature={:064x}".format,
    st.sampled_from(["20261123", "x"]) | ANY_TEXT,
    st.sampled_from(["", ";host", ";x-amz-date"]) | ANY_TEXT,
    st.integers(0, 2**256 - 1),
)
TOKENS = st.builds("{}.{}.{}".format, ANY_TEXT, ANY_TEXT, ANY_TEXT)


@given(
    authorization=st.dictionaries(NAMES, ANY_TEXT | SIGNATURES | TOKENS),
    channel=ANY_TEXT,
    events=st.recursive(st.none() | st.integers() | ANY_TEXT, st.lists, max_leaves=8),
    host=ANY_TEXT,
)
def test_whatever_is_shown_is_refused_and_never_fails(
    open_to_all, authorization, channel, events, host
):
    """No text in any place of the credentials gets through the checks or breaks them."""
    caller = Caller(authorization, host, b"", "")
    body = {"channel": channel, "events": events}
    assert isinstance(connect(open_to_all, authorization, caller), WireError)
    assert isinstance(publish(open_to_all, authorization, body, caller=caller), WireError)


# Secrets.


def test_nothing_secret_is_shown(access, caplog):
    """Neither what is set up nor what is shown gets into logs, errors or printed values."""
    caplog.set_level("DEBUG")
    user = USER | {"secret_access_key": "the-secret", "session_token": "the-session"}
    judge = access(iam_users=(user,), api_keys=("the-key",))
    wrong_signature = signed(b"{}", "another-secret")
    wrong_signature["X-Amz-Security-Token"] = "the-session"
    forged = issue(judge)[:-8] + base64.urlsafe_b64encode(b"123456").decode()
    credentials = [
        {"x-api-key": "a-wrong-key"},
        wrong_signature,
        {"Authorization": forged},
        {"Authorization": "a-wrong-token"},
    ]
    answers = [connect(judge, shown) for shown in credentials]
    assert all(isinstance(answer, WireError) for answer in answers)
    caller = Caller({"x-api-key": "the-key"}, "host", b"the-secret")
    seen = caplog.text + repr(answers) + repr(caller) + repr(judge) + repr(judge._options)
    secrets = ["the-secret", "the-session", "the-key", "another-secret", "a-wrong", forged]
    assert [] == [secret for secret in secrets if secret in seen]


API = "arn:aws:appsync:eu-west-1:111122223333:apis/abc"
NAMESPACE = f"{API}/channelNamespace/chat"


def statement(effect="allow", actions="appsync:*", resources="*"):
    return Statement(effect=effect, actions=(actions,), resources=(resources,))


def test_resources_are_those_of_the_service():
    """The API stands for connects, a namespace for what is done in it."""
    options = Options(region="eu-west-1", account_id="111122223333", api_id="abc")
    assert API == resource_arn(options, "")
    assert NAMESPACE == resource_arn(options, "chat")


@pytest.mark.parametrize(
    ("expected", "statements"),
    [
        (False, []),
        (True, [statement()]),
        (True, [statement(actions="*")]),
        (True, [statement(actions="appsync:EventPublish", resources=NAMESPACE)]),
        (True, [statement(actions="APPSYNC:eventpublish")]),
        (True, [statement(actions="appsync:Event*", resources=f"{API}/*")]),
        (True, [statement(resources="arn:aws:appsync:*:*:apis/???/channelNamespace/c*t")]),
        (False, [statement(actions="appsync:EventSubscribe")]),
        (False, [statement(actions="appsync:Event")]),
        (False, [statement(resources=API)]),
        (False, [statement(resources=NAMESPACE.replace("chat", "Chat"))]),
        (False, [statement(resources=NAMESPACE.replace("chat", "c.at"))]),
        (False, [statement(), statement("deny", actions="appsync:EventPublish")]),
        (False, [statement("deny", resources=NAMESPACE), statement()]),
        (True, [statement(), statement("deny", resources=f"{API}/channelNamespace/other")]),
        (True, [statement(), statement("deny", actions="appsync:EventConnect")]),
    ],
)
def test_statements_are_evaluated_as_iam_does(expected, statements):
    """Nothing is allowed by itself, wildcards match, and a deny wins wherever it stands."""
    assert expected == allows(statements, "appsync:EventPublish", NAMESPACE)
