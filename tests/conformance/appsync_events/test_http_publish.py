"""HTTP publish."""

import json
import uuid

import pytest

from tests.conformance.rows import assumed, documented, observed
from tests.support.appsync_peers import API_KEY, UNAUTHORIZED, body, post, refusal, request
from tests.support.appsync_signing import compact, signed

HTTP_PAGE = "eventapi/publish-http"
AUVRED = "end-to-end tests of aws-appsync-events by auvred against AWS"
BODY = {"channel": "/default/a", "events": ["1"]}


@documented("200 with `successful` and `failed`, each event with UUID and index.", HTTP_PAGE)
def test_publish_is_answered_event_by_event(emulator):
    """Five events, and the body is JSON."""
    status, answer, headers = post(emulator, body("/default/a", *range(5)))
    assert (200, []) == (status, answer["failed"])
    assert [0, 1, 2, 3, 4] == [item["index"] for item in answer["successful"]]
    assert 5 == len({uuid.UUID(item["identifier"]) for item in answer["successful"]})
    assert "application/json" == headers.get_content_type()


@documented("An event is any JSON: object, array, string, number, boolean, null.", HTTP_PAGE)
@pytest.mark.parametrize("event", [{"a": 1}, [1], "text", 1.5, True, None])
def test_any_json_is_an_event(peer, emulator, event):
    """It arrives as it was sent."""
    peer.subscribe("1", "/default/any")
    assert 200 == post(emulator, body("/default/any", event)).status
    assert event == json.loads(peer.hear()["event"])


@observed("An oversize event does not fail the request: 200, and it is in `failed`.", AUVRED)
def test_oversize_event_does_not_fail_the_request(emulator):
    """An event of 1 MiB beside a small one."""
    status, answer, _ = post(emulator, body("/default/a", "x" * 1_048_576, 1))
    assert (200, [1]) == (status, [item["index"] for item in answer["successful"]])
    assert [0] == [item["index"] for item in answer["failed"]]
    assert ["EventTooLargeException"] == [item["code"] for item in answer["failed"]]


@documented("An event of 240 KB is not too large.", "Service Quotas L-F21064F0")
def test_event_near_its_limit_is_delivered(connect, emulator):
    """Off the edge, because the page does not say what a KB is."""
    peer = connect(emulator, max_size=None)
    peer.subscribe("1", "/default/large")
    assert [] == post(emulator, body("/default/large", "x" * 239_000)).body["failed"]
    assert 239_002 == len(peer.hear()["event"])


@assumed("An oversize body: 413 with an errors body.", "HTTP names that status for it")
@pytest.mark.parametrize("size_bytes", [1_300_000, 6_000_000])
def test_oversize_body_is_refused_whole(emulator, size_bytes):
    """Whether it is read or refused at its length."""
    assert (413, ["BadRequestException"]) == refusal(
        post(emulator, body("/default/a", "x" * size_bytes))
    )


@assumed(
    "A publish whose handler drops all events is 200 all the same.", "accepted is not delivered"
)
def test_publish_that_is_filtered_away_succeeds(peer, emulator):
    """The dropped event counts as successful, and nobody gets it."""
    peer.subscribe("1", "/handled/filter")
    status, answer, _ = post(emulator, body("/handled/filter", "filtered"))
    assert 200 == status
    assert [0] == [item["index"] for item in answer["successful"]]
    assert [] == answer["failed"]
    assert [] == peer.heard_before_next_answer()


@documented("Errors come as a list of errorType and message.", HTTP_PAGE)
def test_error_body_is_a_list(emulator):
    """One error, JSON."""
    status, answer, headers = post(emulator, {"channel": "/default/a"})
    assert (400, {"errors"}) == (status, set(answer))
    assert [{"errorType", "message"}] == [set(error) for error in answer["errors"]]
    assert "application/json" == headers.get_content_type()


@assumed("400 BadRequestException: the body is not a JSON object.", "clients take it as final")
@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b"null"])
def test_body_that_is_no_json_object_is_a_bad_request(emulator, text):
    """Empty, cut short, no UTF-8, another kind of JSON."""
    assert (400, ["BadRequestException"]) == refusal(post(emulator, text))


@documented("400: channel or events are missing.", HTTP_PAGE)
@pytest.mark.parametrize("missing", ["channel", "events"])
def test_missing_key_is_a_bad_request(emulator, missing):
    """Each is required."""
    answer = post(emulator, {key: value for key, value in BODY.items() if key != missing})
    assert (400, ["BadRequestException"]) == refusal(answer)


@documented("400: more than five events.", HTTP_PAGE)
def test_six_events_are_a_bad_request(emulator):
    """Five go through, six do not."""
    assert 400 == post(emulator, body("/default/a", *range(6))).status
    assert 200 == post(emulator, body("/default/a", *range(5))).status


@assumed("400 BadRequestException: the channel breaks the grammar.", "the error type is unseen")
@pytest.mark.parametrize("channel", ["/default/a_b", "/default//a", "", "/a/b/c/d/e/f"])
def test_bad_channel_is_a_bad_request(emulator, channel):
    """The grammar has a topic of its own."""
    answer = post(emulator, {"channel": channel, "events": ["1"]})
    assert (400, ["BadRequestException"]) == refusal(answer)


@observed("400 BadRequestException: bad signature.", "appsync community issue 400")
def test_bad_signature_is_a_bad_request(emulator):
    """The message tells what happened, as at connect."""
    text = compact(BODY)
    answer = post(emulator, text.encode(), signed(emulator, text, secret="WRONG"))
    assert (400, ["BadRequestException"]) == refusal(answer)
    assert "signature" in answer.body["errors"][0]["message"]


@documented("401: bad or missing credentials.", HTTP_PAGE)
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "da2-wrong"}, {"Authorization": "denied"}])
def test_bad_credentials_are_unauthorized(emulator, headers):
    """With the sentence of the service."""
    answer = post(emulator, BODY, headers)
    assert (401, {"errors": [UNAUTHORIZED]}) == (answer.status, answer.body)


@observed("401 without a message: unknown namespace.", f"{AUVRED}; the status by its kind")
def test_unknown_namespace_is_unauthorized(emulator):
    """The bare error type."""
    answer = post(emulator, {"channel": "/nowhere/a", "events": ["1"]})
    expected = (401, {"errors": [{"errorType": "UnauthorizedException"}]})
    assert expected == (answer.status, answer.body)


@documented("401: util.unauthorized() in the handler.", "eventapi/channel-namespace-handlers")
def test_handler_may_say_unauthorized(emulator):
    """The whole request fails."""
    answer = post(emulator, body("/handled/unauthorized", 1))
    assert (401, ["UnauthorizedException"]) == refusal(answer)


@documented("403: util.error() in the handler.", HTTP_PAGE)
def test_handler_may_refuse(emulator):
    """Its own message and type."""
    answer = post(emulator, body("/handled/error", 1))
    error = {"errorType": "RoomError", "message": "The room is closed."}
    assert (403, {"errors": [error]}) == (answer.status, answer.body)


@assumed("404 on other paths, 405 for other methods, each with an errors body.", "HTTP says so")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/graphql", 404),
        ("GET", "/event", 405),
        ("PUT", "/event", 405),
        ("POST", "/event/realtime", 405),
    ],
)
def test_other_paths_and_methods_are_refused(emulator, method, path, status):
    """Nothing else is offered."""
    answer = request(emulator, method, path)
    assert (status, 1) == (answer.status, len(answer.body["errors"]))


@assumed("429: throttled.", "documented is only that it counts among 4XXError")
def test_throttled_publish_is_429(started):
    """Of a burst above the quota, the rest is refused and some went through."""
    emulator = started(quotas={"inbound_events_per_s": 4})
    assert {200, 429} == {post(emulator, body("/default/a", 1, 2)).status for _ in range(8)}


@assumed("5xx: the handler failed by itself.", "the service's families of status codes")
def test_failing_handler_is_a_server_error(emulator):
    """Not the client's fault."""
    answer = post(emulator, body("/handled/throw", 1))
    assert 500 <= answer.status <= 599
    assert 1 == len(answer.body["errors"])


@documented("Handlers see the headers of the request.", "eventapi/context-reference")
def test_handler_sees_request_headers(peer, emulator):
    """A header of our own comes back in the event."""
    peer.subscribe("1", "/handled/headers")
    post(emulator, body("/handled/headers", 1), {"x-api-key": API_KEY, "X-Room": "green"})
    assert {"seen": "green"} == json.loads(peer.hear()["event"])


@assumed("A browser may publish from anywhere: CORS is granted.", "the service answers browsers")
def test_browser_may_publish(emulator):
    """The preflight is granted with what clients send, and answers may be read."""
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-api-key,x-amz-user-agent",
    }
    preflight = request(emulator, "OPTIONS", "/event", headers=asked)
    assert preflight.status in {200, 204}
    assert "*" == preflight.headers["access-control-allow-origin"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    # Browsers take the star for all names but authorization.
    allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
    assert "authorization" in allowed
    assert "*" in allowed or {"content-type", "x-api-key", "x-amz-user-agent"} <= set(allowed)
    answer = post(emulator, BODY, {"x-api-key": "da2-wrong", "Origin": asked["Origin"]})
    assert "*" == answer.headers["access-control-allow-origin"]


@observed(
    "A request header content-encoding: amz-1.0 and an extra `id` in the body change nothing.",
    "ob-appsync-events-request sends both",
)
def test_quirks_of_a_real_client_are_ignored(emulator):
    """It is no encoding that anything would have to decode."""
    headers = {"x-api-key": API_KEY, "content-encoding": "amz-1.0"}
    assert 200 == post(emulator, {**BODY, "id": "x"}, headers).status


@observed(
    "The channel may have no leading slash, and content-type a charset.",
    "Amplify and hand-written clients",
)
def test_channel_without_slash_and_charset(peer, emulator):
    """Both spellings reach the same subscribers."""
    peer.subscribe("1", "/default/slash")
    headers = {"x-api-key": API_KEY, "content-type": "application/json; charset=UTF-8"}
    assert 200 == post(emulator, body("default/slash", 1), headers).status
    assert "1" == peer.hear()["event"]


@documented("200 comes once the events are accepted; no subscriber is needed.", HTTP_PAGE)
def test_publish_needs_no_subscriber(emulator):
    """A channel comes into being on use."""
    assert 200 == post(emulator, body("/default/nobody/listens/here", 1)).status
