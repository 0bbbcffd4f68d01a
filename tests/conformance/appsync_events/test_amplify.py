"""The Amplify client, aws-amplify 6.22.1, over TLS."""

import contextlib
import json

import pytest

from tests.conformance.appsync_events.conftest import API_KEY, EVERYTHING
from tests.conformance.appsync_events.node_clients import Amplify, AmplifyError, needs_node
from tests.conformance.rows import observed
from tests.support.appsync_peers import issue_token, request, stats

AMPLIFY = "Amplify itself runs against the emulator"
SECRETS = {"accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "SECRET"}

pytestmark = needs_node


@pytest.fixture(scope="session")
def secure_emulator(started):
    """The emulator of all auth modes, over TLS as Amplify asks for, in two processes."""
    return started(**EVERYTHING, tls=True, processes=2)


@pytest.fixture
def run_amplify():
    """Start Amplify with one auth mode, trusting an emulator's authority; it ends with the test."""
    with contextlib.ExitStack() as running:

        def run(emulator, mode, **auth):
            amplify = Amplify(emulator.folder / "ca.pem")
            running.callback(amplify.stop)
            amplify.configure(emulator, mode, **auth)
            return amplify

        yield run


@pytest.fixture
def amplify(run_amplify, secure_emulator):
    """Amplify with an API key."""
    return run_amplify(secure_emulator, "apiKey", api_key=API_KEY)


def exchange(amplify):
    """Connect, subscribe to a channel and a wildcard, publish over both transports."""
    amplify.join("exact", "default/room1")
    amplify.join("wildcard", "default/*")
    for action, where in (("publish", {"name": "exact"}), ("post", {"channel": "default/room1"})):
        event = {"action": action, "text": "<é&\"/'>"}
        assert amplify.do(action, **where, event=event) is None
        heard = [amplify.hear("event") for _ in range(2)]
        assert {"exact", "wildcard"} == {message["name"] for message in heard}
        assert [event, event] == [message["event"] for message in heard]


def disconnect_all(emulator):
    """Close all connections as the service does, with the normal code."""
    faults = json.dumps([{"kind": "disconnect", "code": 1000}])
    assert 200 == request(emulator, "POST", "/_emulator/faults", faults).status


def refused_connects(emulator):
    return stats(emulator)["connects"]["refused"]["unauthorized"]


def refused_publishes(emulator):
    return stats(emulator)["publishes"]["refused"]["unauthorized"]


@observed("API key: connect, exact and wildcard subscribe, publish over both.", AMPLIFY)
def test_api_key(amplify):
    """Everything the client does, with the key of the configuration."""
    exchange(amplify)


@observed("IAM: all of it with SigV4 signatures that are checked.", AMPLIFY)
@pytest.mark.parametrize("token", [None, "TOK"])
def test_iam(run_amplify, secure_emulator, token):
    """With long-lived credentials, and with those of a session."""
    credentials = dict(SECRETS)
    if token:
        credentials |= {"accessKeyId": "ASIDEXAMPLE", "sessionToken": token}
    exchange(run_amplify(secure_emulator, "iam", credentials=credentials))


@observed("Lambda: all of it with an opaque token.", AMPLIFY)
def test_lambda(run_amplify, secure_emulator):
    """The token is given at each call."""
    exchange(run_amplify(secure_emulator, "lambda", options={"authToken": "allowed"}))


@observed("User pool and OpenID Connect: all of it with the access token of a session.", AMPLIFY)
@pytest.mark.parametrize(("mode", "issuer"), [("userPool", "user_pool"), ("oidc", "oidc")])
def test_token(run_amplify, secure_emulator, mode, issuer):
    """A token that the emulator's own issuer has signed."""
    exchange(run_amplify(secure_emulator, mode, token=issue_token(secure_emulator, issuer)))


@observed("A batch of five events over either transport arrives as five events.", AMPLIFY)
def test_batch_of_five(amplify):
    """In order, each by itself."""
    amplify.join("room", "default/batch")
    batch = [{"number": number} for number in range(5)]
    amplify.do("publish", name="room", event=batch)
    assert batch == [amplify.next_event() for _ in range(5)]
    amplify.do("post", channel="default/batch", event=batch)
    assert batch == [amplify.next_event() for _ in range(5)]


@observed("An event may be any JSON value that is not an array.", AMPLIFY)
def test_any_value_is_an_event(amplify):
    """Text, numbers, truth values."""
    amplify.join("room", "default/values")
    for value in ("text", 1.5, True, {"a": {"b": [1]}}):
        amplify.do("publish", name="room", event=value)
        assert value == amplify.next_event()


@observed("Denied publish: the promise is rejected, the connection goes on.", AMPLIFY)
def test_denied_publish(amplify):
    """A namespace whose publishers must sign; its subscribers need not."""
    amplify.join("read-only", "read-only/room")
    with pytest.raises(AmplifyError, match="UnauthorizedException"):
        amplify.do("publish", name="read-only", event=1)
    exchange(amplify)


@observed("Denied HTTP publish: the promise is rejected after one request.", AMPLIFY)
def test_denied_post(amplify, secure_emulator):
    """Status 401 is final for the client."""
    before = refused_publishes(secure_emulator)
    with pytest.raises(AmplifyError, match="HTTP 401"):
        amplify.do("post", channel="read-only/room", event=1)
    assert 1 == refused_publishes(secure_emulator) - before


@observed("Denied subscribe: `ready` is rejected and `error` called; others go on.", AMPLIFY)
def test_denied_subscribe(amplify):
    """A namespace whose subscribers must sign."""
    amplify.do("connect", name="signed", channel="signed/room")
    with pytest.raises(AmplifyError, match="UnauthorizedException"):
        amplify.do("subscribe", name="signed")
    assert "UnauthorizedException" in amplify.hear("error")["error"]
    exchange(amplify)


@observed("Wrong key at connect: rejected once, without another try.", AMPLIFY)
def test_wrong_key(run_amplify, secure_emulator):
    """The error types of the service are final for the client."""
    amplify = run_amplify(secure_emulator, "apiKey", api_key="da2-wrong")
    before = refused_connects(secure_emulator)
    with pytest.raises(AmplifyError, match="UnauthorizedException"):
        amplify.do("connect", name="room", channel="default/room1")
    assert 1 == refused_connects(secure_emulator) - before


@observed("An oversize event is handed back by `post`, the others are delivered.", AMPLIFY)
def test_oversize_event_is_handed_back(amplify):
    """What the service lists as failed."""
    amplify.join("room", "default/large")
    failed = amplify.do("post", channel="default/large", event=["x" * 300_000, "small"])
    assert [(0, "EventTooLargeException")] == [(item["index"], item["code"]) for item in failed]
    assert "small" == amplify.next_event()


@observed("After a close by the server Amplify connects and subscribes again.", AMPLIFY)
def test_reconnect(run_amplify, started):
    """The subscriber hears what is published once it is back, without doing anything."""
    emulator = started(tls=True)
    amplify = run_amplify(emulator, "apiKey", api_key=API_KEY)
    amplify.join("room", "default/again")
    amplify.do("publish", name="room", event="before")
    assert "before" == amplify.next_event()
    disconnect_all(emulator)
    while amplify.hear("state")["state"] != "ConnectionDisrupted":
        pass
    while amplify.hear("state")["state"] != "Connected":
        pass
    amplify.do("post", channel="default/again", event="after")
    assert "after" == amplify.next_event()


@observed("`post` tries three times where it is throttled.", AMPLIFY)
def test_throttled_post(run_amplify, started):
    """One call, three requests refused."""
    emulator = started(tls=True, faults=[{"kind": "throttle_publishes"}])
    amplify = run_amplify(emulator, "apiKey", api_key=API_KEY)
    with pytest.raises(AmplifyError, match="HTTP 429"):
        amplify.do("post", channel="default/room1", event=1)
    assert 3 == stats(emulator)["publishes"]["throttled"]["fault"]


@observed("unsubscribe ends the deliveries; closeAll closes the socket.", AMPLIFY)
def test_unsubscribe_and_close(amplify):
    """Another subscription of the same client goes on until then."""
    amplify.join("left", "default/leaving")
    amplify.join("stays", "default/leaving")
    amplify.do("unsubscribe", name="left")
    amplify.do("post", channel="default/leaving", event=1)
    assert "stays" == amplify.hear("event")["name"]
    amplify.do("closeAll")
