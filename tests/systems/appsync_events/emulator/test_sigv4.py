import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from harness.systems.appsync_events.emulator.credentials import message_body, verify
from harness.systems.appsync_events.options import IamUser
from harness.systems.appsync_events.wire import WireError
from tests.support.appsync_signing import REALTIME_HEADERS, SIGNED_BY_AMPLIFY, compact, sign

SECRET = "SECRET+of/the-test"


def judge(
    given, body, user, *, now=None, request_host="realtime.example", region="us-east-1", query=""
):
    """Verify credentials whose names are in any case, as at this moment."""
    return verify(
        {name.lower(): value for name, value in given.items()},
        body,
        query=query,
        request_host=request_host,
        users={user.access_key_id: user},
        region=region,
        now=now or datetime.now(UTC),
    )


# The signatures of the real Amplify client.

AMPLIFY_USER = IamUser(access_key_id="AKIDEXAMPLE", secret_access_key="SECRET", session_token="TOK")


def amplify(vector):
    """Return an authorization object as Amplify makes it, with a signature it has made."""
    headers = {
        **vector.headers,
        "host": "localhost:18443",
        "x-amz-date": vector.date,
        "X-Amz-Security-Token": "TOK",
    }
    names = ";".join(sorted(name.lower() for name in headers))
    scope = "AKIDEXAMPLE/20261123/us-east-1/appsync/aws4_request"
    return headers | {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, "
        f"Signature={vector.signature}"
    }


AMPLIFY_NOW = datetime(2026, 11, 23, 14, 29, 30, tzinfo=UTC)
HTTP_BODY = SIGNED_BY_AMPLIFY["http"].body
AMPLIFY_SIGNED = [
    pytest.param(amplify(SIGNED_BY_AMPLIFY[step]), body, id=step)
    for step, body in {
        "connect": b"{}",
        "subscribe": message_body("default/room1"),
        "publish": message_body("default/room1", ['{"a":1}', '{"b":"<x>&é"}']),
        "http": HTTP_BODY,
    }.items()
]


@pytest.mark.parametrize(("given", "body"), AMPLIFY_SIGNED)
def test_signature_that_amplify_made_is_let_in(given, body):
    """Each step's signature by the real client, reproduced elsewhere too, belongs to its user."""
    assert AMPLIFY_USER == judge(given, body, AMPLIFY_USER, now=AMPLIFY_NOW)


@pytest.mark.parametrize(("given", "body"), AMPLIFY_SIGNED)
def test_amplify_signature_of_another_body_is_refused(given, body):
    """The body is part of what is signed."""
    refused = judge(given, body + b" ", AMPLIFY_USER, now=AMPLIFY_NOW)
    assert "BadRequestException" == refused.error_type


def test_canonical_request_of_a_connect_is_told_byte_for_byte():
    """The refusal repeats what should have been signed, but hides the session token."""
    forged = SIGNED_BY_AMPLIFY["connect"]._replace(signature="0" * 64)
    refused = judge(amplify(forged), b"{}", AMPLIFY_USER, now=AMPLIFY_NOW)
    assert "BadRequestException" == refused.error_type
    told = (
        "'POST\n/event\n\n"
        "accept:application/json, text/javascript\n"
        "content-encoding:amz-1.0\n"
        "content-type:application/json; charset=UTF-8\n"
        "host:localhost:18443\n"
        "x-amz-date:20261123T142921Z\n"
        "x-amz-security-token:(hidden)\n\n"
        "accept;content-encoding;content-type;host;x-amz-date;x-amz-security-token\n"
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'"
    )
    assert told in refused.message
    assert refused.message.startswith("The request signature we calculated does not match")


# Signatures that botocore makes.


def signed(body, *, access_key="AKIDTEST", secret=SECRET, token=None, **how):
    """Return a user and the authorization object that botocore signs for them."""
    user = IamUser(access_key_id="AKIDTEST", secret_access_key=SECRET, session_token=token or "")
    given = sign(body, access_key=access_key, secret=secret, token=token, **how)
    return SimpleNamespace(user=user, given=given)


BODIES = {
    "connect": (b"{}", b"{}"),
    "subscribe": (b'{"channel":"/default/*"}', message_body("/default/*")),
    "publish": (
        compact({"channel": "/default/a", "events": ['{"a":1}', '"two"']}).encode(),
        message_body("/default/a", ['{"a":1}', '"two"']),
    ),
    "http": (b'{ "events": ["1"],\n "channel": "x" }', b'{ "events": ["1"],\n "channel": "x" }'),
}


@pytest.mark.parametrize("token", [None, "a session/token+="])
@pytest.mark.parametrize("host", ["localhost:18443", "localhost", "api.example:8080"])
@pytest.mark.parametrize("step", BODIES)
def test_botocore_signature_is_let_in_at_every_step(step, host, token):
    """What an independent signer makes is found good, with and without port and session token."""
    client_body, body = BODIES[step]
    made = signed(client_body, host=host, token=token)
    assert made.user == judge(made.given, body, made.user)


@pytest.mark.parametrize("signed_query", ["a=%2F1&b=2&b=3&flag=", ""])
def test_query_of_a_publish_is_part_of_what_is_signed(signed_query):
    """In whatever order and form it is sent; a signature without it is refused."""
    made = signed(HTTP_BODY, path=f"/event?{signed_query}")
    found = judge(made.given, HTTP_BODY, made.user, query="flag&b=3&b=2&a=/1")
    assert bool(signed_query) == (found == made.user)


def test_signature_over_few_or_more_headers_is_let_in():
    """Only what the client lists counts: the content hash, or fewer headers than usual."""
    few = signed(HTTP_BODY, headers={"content-type": "application/json"})
    more = signed(b"{}", headers={**REALTIME_HEADERS, "x-amz-content-sha256": "44136f"})
    more.given["x-amz-user-agent"] = "added after signing"
    assert few.user == judge(few.given, HTTP_BODY, few.user)
    # The signer takes the hash that is given for the body's.
    assert "BadRequestException" == judge(more.given, b"{}", more.user).error_type


def test_spaces_in_header_values_do_not_matter():
    """Leading, trailing and repeated spaces are squeezed on both sides."""
    made = signed(b"{}", headers={"accept": "  application/json,   text/javascript "})
    assert made.user == judge(made.given, b"{}", made.user)


def test_signed_content_length_need_not_be_given():
    """Signers that take it from the HTTP request leave it out of the authorization object."""
    made = signed(b"{}", headers={"content-length": "2"})
    del made.given["content-length"]
    assert made.user == judge(made.given, b"{}", made.user)


@pytest.mark.parametrize(
    ("signed_host", "given_host", "request_host"),
    [
        ("localhost", "localhost:18443", "realtime.example"),
        ("localhost", None, "localhost:18443"),
        ("localhost:18443", None, "localhost:18443"),
        ("api.example", "other.example", "api.example:443"),
    ],
)
def test_host_may_be_signed_without_its_port_or_come_from_the_request(
    signed_host, given_host, request_host
):
    """Clients sign one spelling of the host and send another."""
    made = signed(b"{}", host=signed_host)
    del made.given["host"]
    if given_host is not None:
        made.given["host"] = given_host
    assert made.user == judge(made.given, b"{}", made.user, request_host=request_host)


# What is signed is serialised anew.


@pytest.mark.parametrize(
    "event", ['{"b":"<x>&é\u2028"}', '"a/b"', '"\\ud83d\\ude00"', '"\U0001f600"']
)
def test_what_is_signed_is_what_javascript_would_write(event):
    """No HTML escapes, slash escapes or escapes of what is not ASCII, whatever the frame held."""
    escaped = json.dumps(event).replace("<", "\\u003c")
    body = json.loads(f'{{"channel":"default\\/a","events":[{escaped}]}}')
    plain = compact({"channel": "default/a", "events": [event]})
    assert plain.encode() == message_body(body["channel"], body["events"])


@pytest.mark.parametrize(
    "escaped",
    [
        b'{"channel":"default/a","events":["\\"\\u003cx\\u003e\\u0026\\""]}',
        b'{"channel":"default\\/a","events":["\\"<x>&\\""]}',
        b'{"channel": "default/a", "events": ["\\"<x>&\\""]}',
    ],
)
def test_signature_over_an_escaped_text_is_refused(escaped):
    """Go's HTML escapes, Swift's slashes and spaces in what is signed do not match, as at AWS."""
    made = signed(escaped)
    plain = message_body("default/a", ['"<x>&"'])
    assert "BadRequestException" == judge(made.given, plain, made.user).error_type


def test_events_nested_too_deep_to_serialise_are_refused():
    """Nonsense in place of events is a wrong signature, not a failure of the emulator."""
    nested = json.loads("[" * 400 + "]" * 400)
    made = signed(b"{}")
    refused = judge(made.given, message_body("default/a", nested), made.user)
    assert "BadRequestException" == refused.error_type


# Refusals.


@pytest.mark.parametrize("minutes", [-4.9, 4.9])
def test_clock_within_five_minutes_is_let_in(minutes):
    """A client's clock may be off by a little, either way."""
    made = signed(b"{}")
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    assert made.user == judge(made.given, b"{}", made.user, now=now)


@pytest.mark.parametrize(("minutes", "said"), [(5.1, "expired"), (-5.1, "not yet current")])
def test_clock_more_than_five_minutes_off_is_refused(minutes, said):
    """The sentence tells which way the clock is off."""
    made = signed(b"{}")
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    refused = judge(made.given, b"{}", made.user, now=now)
    assert "BadRequestException" == refused.error_type
    assert refused.message.startswith(f"Signature {said}: ")


def test_wrong_secret_is_a_bad_request_that_shows_no_secret():
    """The canonical string is told; neither secret, token nor expected signature is."""
    made = signed(b"{}", secret="not-the-secret", token="the-session-token")
    refused = judge(made.given, b"{}", made.user)
    assert "BadRequestException" == refused.error_type
    assert "'POST\n/event\n\naccept:application/json" in refused.message
    right = signed(b"{}", token="the-session-token").given["Authorization"].rpartition("=")[2]
    for secret in (SECRET, "not-the-secret", "the-session-token", right):
        assert secret not in refused.message


@pytest.mark.parametrize("name", ["x-api-key", "sec-websocket-protocol", "cookie"])
def test_refusal_hides_signed_headers_that_may_be_secrets(name):
    """Android signs the subprotocol, which may hold credentials."""
    made = signed(b"{}", secret="wrong", headers={name: "do-not-tell"})
    refused = judge(made.given, b"{}", made.user)
    assert f"\n{name}:(hidden)\n" in refused.message
    assert "do-not-tell" not in refused.message


@pytest.mark.parametrize(
    ("change", "needed"), [({"access_key": "AKIDOTHER"}, ""), ({"token": "other"}, ""), ({}, "TOK")]
)
def test_unknown_access_key_or_session_token_is_unauthorized(change, needed):
    """Nobody is found who could have signed: no canonical string helps."""
    made = signed(b"{}", **change)
    refused = judge(made.given, b"{}", made.user.model_copy(update={"session_token": needed}))
    assert "UnauthorizedException" == refused.error_type


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"region": "eu-west-1"}, "Credential should be scoped to a valid region, us-east-1."),
        ({"service": "execute-api"}, "Credential should be scoped to correct service: appsync."),
    ],
)
def test_signature_for_another_region_or_service_is_refused(change, said):
    """The scope of the credential must be this API's."""
    made = signed(b"{}", **change)
    assert WireError("BadRequestException", said) == judge(made.given, b"{}", made.user)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("Authorization", "Signature=", "Sig="),
        ("Authorization", "SignedHeaders=", "SignedHeaders= "),
        ("Authorization", "aws4_request", "aws4"),
        ("Authorization", "Credential=AKIDTEST/", "Credential="),
        ("Authorization", ";host", ""),
        ("Authorization", ";host", ";host;host"),
        ("X-Amz-Date", "T", "t"),
        ("X-Amz-Date", "20", "19"),
        ("X-Amz-Date", "20", "\u0662\u0660"),
        ("X-Amz-Date", "Z", "Z\ud800"),
    ],
)
def test_malformed_signature_is_a_bad_request(name, old, new):
    """Whatever is wrong in its form is answered, and never a failure."""
    made = signed(b"{}")
    assert old in made.given[name]
    made.given[name] = made.given[name].replace(old, new, 1)
    assert "BadRequestException" == judge(made.given, b"{}", made.user).error_type


@pytest.mark.parametrize(
    ("host", "changes"),
    [
        ("elsewhere.example", {"host": "localhost:18443"}),
        ("localhost:18443", {"accept": "\udcff"}),
        ("localhost:18443", {"X-Amz-Date": None}),
    ],
    ids=["of another host", "bytes that are no UTF-8", "without a date"],
)
def test_signature_of_other_headers_is_a_bad_request(host, changes):
    """It is worth nothing on another host, nor where nothing says that it is fresh."""
    made = signed(b"{}", host=host)
    made.given.update(changes)
    given = {name: value for name, value in made.given.items() if value is not None}
    assert "BadRequestException" == judge(given, b"{}", made.user).error_type
