"""Auth modes."""

import json

import pytest

from tests.conformance.rows import documented, observed
from tests.support.appsync_peers import API_KEY, UNAUTHORIZED, body, issue_token, post
from tests.support.appsync_signing import compact, signed

AUTH_PAGE = "eventapi/configure-event-api-auth"
LAMBDA_PAGE = "eventapi/configure-event-api-auth, AWS_LAMBDA"


def use_all(connect, emulator, authorization):
    """Connect, subscribe and publish over both with one authorization; return what was heard."""
    peer = connect(emulator, {"host": "localhost", **authorization})
    assert "connection_ack" == peer.init()
    assert "subscribe_success" == peer.subscribe("1", "/default/auth", authorization)["type"]
    answer = peer.publish("/default/auth", 1, authorization=authorization)
    assert "publish_success" == answer["type"]
    assert "1" == peer.hear()["event"]
    assert 200 == post(emulator, body("/default/auth", 2), authorization).status
    assert "2" == peer.hear()["event"]


@documented("API key: x-api-key at every step.", AUTH_PAGE)
def test_api_key(connect, emulator):
    """One of several keys that are valid."""
    use_all(connect, emulator, {"x-api-key": API_KEY})
    use_all(connect, emulator, {"x-api-key": "da2-other"})


@documented("Lambda: an opaque token in Authorization at every step.", LAMBDA_PAGE)
def test_lambda_token(connect, emulator):
    """The function lets it do anything."""
    use_all(connect, emulator, {"Authorization": "allowed"})


@documented("User pool and OpenID Connect: a JWT in Authorization at every step.", AUTH_PAGE)
@pytest.mark.parametrize("issuer", ["user_pool", "oidc"])
@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_token_of_an_issuer(connect, emulator, issuer, prefix):
    """With and without the word before it."""
    use_all(connect, emulator, {"Authorization": prefix + issue_token(emulator, issuer)})


@documented("A token whose signature, time or issuer is wrong is refused.", AUTH_PAGE)
def test_tampered_token_is_unauthorized(peer, emulator):
    """A changed or missing signature, a past end, another issuer."""
    head, claims, signature = issue_token(emulator, "user_pool").split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for wrong in (
        f"{head}.{claims}.{flipped}",
        f"{head}.{claims}.",
        issue_token(emulator, "user_pool", lifetime_s=-60),
        issue_token(emulator, "user_pool", claims={"iss": "https://elsewhere.example"}),
    ):
        answer = peer.subscribe("1", "/default/a", {"Authorization": wrong})
        assert [UNAUTHORIZED] == answer["errors"]


@documented(
    "IAM: EventConnect, EventSubscribe and EventPublish, on the API or a namespace.", AUTH_PAGE
)
def test_iam_actions_are_checked(connect, emulator):
    """A user who may read one namespace: not another, and not publish."""
    reader = {"access_key": "AKIDREADER"}
    peer = connect(emulator, signed(emulator, "{}", **reader))
    assert "connection_ack" == peer.init()
    for channel, answer in (("/default/a", "subscribe_success"), ("/second/a", "subscribe_error")):
        authorization = signed(emulator, compact({"channel": channel}), **reader)
        assert answer == peer.subscribe(channel.replace("/", "-"), channel, authorization)["type"]
    text = compact(body("/default/a", 1))
    answer = post(emulator, text.encode(), signed(emulator, text, **reader))
    assert (401, {"errors": [UNAUTHORIZED]}) == (answer.status, answer.body)


@documented("The function is told token, operation, namespace and channel.", LAMBDA_PAGE)
@pytest.mark.parametrize("over_http", [True, False])
def test_function_is_told_what_is_asked(connect, emulator, over_http):
    """What it was told comes back through a handler's ctx.identity."""
    token = {"Authorization": "tell"}
    peer = connect(emulator)
    peer.subscribe("1", "/handled/identity")
    if over_http:
        post(emulator, body("/handled/identity", 1), token)
    else:
        connect(emulator).publish("/handled/identity", 1, authorization=token)
    told = json.loads(json.loads(peer.hear()["event"])["handlerContext"]["event"])
    assert "tell" == told["authorizationToken"]
    context = told["requestContext"]
    assert "EVENT_PUBLISH" == context["operation"]
    assert ("handled", "/handled/identity") == (context["channelNamespaceName"], context["channel"])
    assert {"apiId", "accountId", "requestId"} < set(context)
    assert isinstance(told["requestHeaders"], dict)


@observed("A wildcard is told to the function as it stands.", LAMBDA_PAGE)
def test_function_is_told_of_wildcards(peer):
    """A function that lets in for one wildcard only."""
    token = {"Authorization": "rooms-wildcard-only"}
    assert "subscribe_success" == peer.subscribe("1", "/default/rooms/*", token)["type"]
    assert "subscribe_error" == peer.subscribe("2", "/default/rooms/a", token)["type"]


@observed(
    "At connect the function is told of no channel.",
    "the documentation says null, the keys are absent",
)
def test_function_is_told_of_no_channel_at_connect(connect, emulator):
    """A function that lets in only where the keys are absent."""
    peer = connect(emulator, {"host": "localhost", "Authorization": "no-channel"})
    assert "connection_ack" == peer.init()


@documented("The function's answer may differ by operation.", LAMBDA_PAGE)
def test_function_may_allow_one_operation_only(connect, emulator):
    """It lets in and lets subscribe, but not publish."""
    token = {"Authorization": "read-only"}
    peer = connect(emulator, {"host": "localhost", **token})
    assert "subscribe_success" == peer.subscribe("1", "/default/a", token)["type"]
    answer = peer.publish("/default/a", 1, authorization=token)
    assert ("publish_error", [UNAUTHORIZED]) == (answer["type"], answer["errors"])


@documented("An answer holds for its time, or as long as ttlOverride says.", LAMBDA_PAGE)
@pytest.mark.parametrize(("token", "second"), [("once", True), ("once-uncached", False)])
def test_answers_are_cached(peer, token, second):
    """A function that lets a token subscribe to a channel but once."""
    assert ["subscribe_success", "subscribe_success" if second else "subscribe_error"] == [
        peer.subscribe(operation_id, f"/default/{token}", {"Authorization": token})["type"]
        for operation_id in ("1", "2")
    ]
