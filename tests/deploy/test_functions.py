"""The functions behind the chat, every call to AWS checked against botocore's service models."""

import json
from itertools import pairwise

import botocore.session
import pytest
from botocore.stub import ANY, Stubber

from deploy.cdk.functions import chat, token_authorizer

CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
TABLE = {"TableName": "connections"}


def key(connection):
    return {"connection": {"S": connection}}


def event(body=None):
    frame = {} if body is None else {"body": json.dumps(body)}
    return {"requestContext": {"connectionId": "me="}, **frame}


@pytest.fixture
def stubs(monkeypatch):
    """Return stubs of the services by name; each must see all it was told to expect."""
    session = botocore.session.Session()
    monkeypatch.setenv("TABLE", "connections")
    monkeypatch.setenv("CONNECTIONS_ENDPOINT", "https://example.org/production")
    names = ("dynamodb", "apigatewaymanagementapi", "secretsmanager")
    clients = {name: session.create_client(name, "eu-west-1", **CREDENTIALS) for name in names}
    found = {name: Stubber(client) for name, client in clients.items()}
    monkeypatch.setattr(chat, "client", lambda name, _endpoint=None: clients[name])
    # One post at a time, so that the order in which they are stubbed is theirs.
    monkeypatch.setattr(chat, "POSTS_UNDER_WAY", 1)
    for stub in found.values():
        stub.activate()
    yield found
    for stub in found.values():
        stub.assert_no_pending_responses()


def expect_members(stubs, *pages):
    """Expect the channel to be read, page by page."""
    keys = [None, *(key(page[-1]) for page in pages[:-1]), None]
    for page, (start, end) in zip(pages, pairwise(keys), strict=True):
        wanted = {
            **TABLE,
            "IndexName": "channel",
            "KeyConditionExpression": "channel = :channel",
            "ExpressionAttributeValues": {":channel": {"S": "/default/room-0"}},
        }
        stubs["dynamodb"].add_response(
            "query",
            {"Items": [key(name) for name in page], **({"LastEvaluatedKey": end} if end else {})},
            {**wanted, **({"ExclusiveStartKey": start} if start else {})},
        )


def expect_post(stubs, connection, error=None):
    wanted = {"ConnectionId": connection, "Data": b'{"text":"h\xc3\xa9"}'}
    posts = stubs["apigatewaymanagementapi"]
    if error is None:
        posts.add_response("post_to_connection", {}, wanted)
    else:
        posts.add_client_error("post_to_connection", error, expected_params=wanted)


MESSAGE = {
    "action": "sendmessage",
    "channel": "/default/room-0",
    "id": "p1",
    "data": {"text": "hé"},
}


def test_connection_is_kept_with_an_expiry(stubs):
    """A row of a connection whose end nobody reports goes by itself."""
    item = {**key("me="), "expires": {"N": ANY}}
    stubs["dynamodb"].add_response("put_item", {}, {**TABLE, "Item": item})
    assert {"statusCode": 200} == chat.connect(event(), None)


def test_connection_that_ends_is_forgotten(stubs):
    """$disconnect deletes the row of its own connection."""
    stubs["dynamodb"].add_response("delete_item", {}, {**TABLE, "Key": key("me=")})
    assert {"statusCode": 200} == chat.disconnect(event(), None)


def test_join_puts_a_connection_into_the_channel(stubs):
    """The row gets the channel that the frame names, and the sender an answer."""
    wanted = {
        **TABLE,
        "Key": key("me="),
        "UpdateExpression": "SET channel = :channel",
        "ExpressionAttributeValues": {":channel": {"S": "/default/room-0"}},
    }
    stubs["dynamodb"].add_response("update_item", {}, wanted)
    answer = chat.join(event({"action": "join", "channel": "/default/room-0", "id": "j"}), None)
    assert {"id": "j", "joined": "/default/room-0"} == json.loads(answer["body"])


def test_message_reaches_members_on_every_page(stubs):
    """A channel of more than one page is posted to as a whole, and the answer repeats the id."""
    expect_members(stubs, ["a=", "b="], ["c="])
    for connection in ("a=", "b=", "c="):
        expect_post(stubs, connection)
    assert {"id": "p1"} == json.loads(chat.send(event(MESSAGE), None)["body"])


def test_connection_that_is_gone_is_forgotten_and_stops_nobody(stubs):
    """410 deletes the row of the one that is gone, not the sender's, and the rest is posted to."""
    expect_members(stubs, ["gone=", "b="])
    expect_post(stubs, "gone=", "GoneException")
    expect_post(stubs, "b=")
    stubs["dynamodb"].add_response("delete_item", {}, {**TABLE, "Key": key("gone=")})
    chat.send(event(MESSAGE), None)


def test_post_that_fails_stops_nobody(stubs, capsys):
    """An error other than 410 is logged without the connection's id, and the next one is served."""
    expect_members(stubs, ["a=", "b="])
    expect_post(stubs, "a=", "ForbiddenException")
    expect_post(stubs, "b=")
    chat.send(event(MESSAGE), None)
    assert "post failed: ForbiddenException" == capsys.readouterr().out.strip()


@pytest.fixture
def token(monkeypatch):
    """Let the functions know the token ``right``."""
    monkeypatch.setattr(token_authorizer, "token", lambda: "right")


@pytest.mark.parametrize(("given", "expected"), [("right", True), ("wrong", False), (None, False)])
@pytest.mark.usefixtures("token")
def test_events_are_for_those_who_know_the_token(given, expected):
    """AppSync hears whether the token it passes on is the secret."""
    answer = token_authorizer.authorize_events({"authorizationToken": given}, None)
    assert {"isAuthorized": expected} == answer


@pytest.mark.parametrize(
    ("headers", "effect"),
    [({"Authorization": "right"}, "Allow"), ({"authorization": "é"}, "Deny"), (None, "Deny")],
)
@pytest.mark.usefixtures("token")
def test_chat_is_for_those_who_know_the_token(headers, effect):
    """API Gateway gets a policy for this connection alone, whatever the header's case."""
    answer = token_authorizer.authorize_connect({"headers": headers, "methodArn": "arn:x"}, None)
    (statement,) = answer["policyDocument"]["Statement"]
    assert (effect, "arn:x") == (statement["Effect"], statement["Resource"])


def test_token_is_read_once(monkeypatch):
    """The secret is fetched by its ARN for the first call only: each fetch costs time and money."""
    token_authorizer.token.cache_clear()
    session = botocore.session.Session()
    secrets = session.create_client("secretsmanager", "eu-west-1", **CREDENTIALS)
    monkeypatch.setenv("TOKEN_SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:t")
    monkeypatch.setattr(session, "create_client", lambda _name: secrets)
    monkeypatch.setattr(botocore.session, "get_session", lambda: session)
    with Stubber(secrets) as stub:
        stub.add_response("get_secret_value", {"SecretString": "s"}, {"SecretId": ANY})
        assert ["s", "s"] == [token_authorizer.token() for _ in range(2)]
        stub.assert_no_pending_responses()
