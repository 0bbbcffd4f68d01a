"""The ``@connections`` API as boto3's own client sees it, unmodified."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError
from websockets.exceptions import ConnectionClosed

from harness.systems.api_gateway_websocket.emulator.process import ApiGatewayEmulator
from harness.systems.api_gateway_websocket.options import IamUser, Options, Quotas
from tests.support.http_requests import stats
from tests.support.waiting import PATIENCE_S

SECRET = "emulator-local"
STRANGER = "AAAAAAAAAAAAAAA="
"""Eleven zero bytes: an id as the service makes them, of nobody."""


def api(emulator, *, key="emulator", secret=SECRET, region="us-east-1", ca_file=None):
    """Return boto3's client, which asks once only; over TLS where an authority is given."""
    scheme = "http" if ca_file is None else "https"
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=f"{scheme}://127.0.0.1:{emulator.port}/production",
        verify=ca_file,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def status_of(call):
    """Return the status and error type with which a call was refused."""
    with pytest.raises(ClientError) as refused:
        call()
    answer = refused.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def test_post_reaches_one_connection(shared_emulator, connect):
    """What is posted arrives as a text message, and nobody else gets it."""
    receiver, other = connect(shared_emulator), connect(shared_emulator)
    answer = api(shared_emulator).post_to_connection(
        ConnectionId=receiver.id, Data=b'{"a": "\xc3\xa9"}'
    )
    assert 200 == answer["ResponseMetadata"]["HTTPStatusCode"]
    assert {"a": "é"} == receiver.hear()
    assert "Forbidden" == other.ask(action="?")["message"]


def test_get_describes_a_connection(shared_emulator, connect):
    """Since when it is there, when it was last active, from where and with what."""
    began = datetime.now(UTC)
    peer = connect(shared_emulator, user_agent_header="peer/1")
    told = api(shared_emulator).get_connection(ConnectionId=peer.id)
    assert "peer/1" == told["Identity"]["UserAgent"]
    assert told["Identity"]["SourceIp"] in {"127.0.0.1", "::1"}
    assert began - timedelta(seconds=1) <= told["ConnectedAt"] <= told["LastActiveAt"]
    assert told["LastActiveAt"] <= datetime.now(UTC)


def test_delete_closes_a_connection(shared_emulator, connect):
    """It answers 204, the client hears of its end, and from then on the connection is gone."""
    peer, client = connect(shared_emulator), api(shared_emulator)
    name = peer.id
    assert 204 == client.delete_connection(ConnectionId=name)["ResponseMetadata"]["HTTPStatusCode"]
    assert 1001 == peer.close_code()
    post = partial(client.post_to_connection, ConnectionId=name, Data=b"x")
    assert (410, "GoneException") == status_of(post)


@pytest.mark.parametrize("call", ["get_connection", "delete_connection"])
def test_connection_that_never_was_is_gone(shared_emulator, call):
    """boto3 raises the exception of the model, by its name."""
    client = api(shared_emulator)
    with pytest.raises(client.exceptions.GoneException):
        getattr(client, call)(ConnectionId=STRANGER)


def test_id_that_nothing_could_have_is_a_bad_request(shared_emulator):
    """As the service is seen to answer, though its model does not say."""
    call = partial(api(shared_emulator).get_connection, ConnectionId="cjy8i76bx002884le6n17d49b")
    assert (400, "BadRequestException") == status_of(call)


def test_payload_above_128_kb_is_too_large(shared_emulator, connect):
    """128 KB go through, in frames of 32 KB, and one byte more is refused."""
    peer, client = connect(shared_emulator), api(shared_emulator)
    name, most = peer.id, json.dumps("x" * (128 * 1024 - 2)).encode()
    client.post_to_connection(ConnectionId=name, Data=most)
    assert json.loads(most) == peer.hear()
    with pytest.raises(client.exceptions.PayloadTooLargeException):
        client.post_to_connection(ConnectionId=name, Data=most + b" ")


@pytest.mark.parametrize(
    "wrong", [{"secret": "another"}, {"key": "nobody"}, {"region": "eu-west-1"}]
)
def test_wrong_signature_is_forbidden(shared_emulator, wrong):
    """Whatever is wrong about it."""
    client = api(shared_emulator, **wrong)
    with pytest.raises(client.exceptions.ForbiddenException):
        client.get_connection(ConnectionId=STRANGER)


def test_call_without_a_signature_is_forbidden(shared_emulator):
    """The service says that a token is missing."""
    address = f"http://127.0.0.1:{shared_emulator.port}/production/@connections/{STRANGER}"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address)
    assert 403 == refused.value.code
    assert "Missing Authentication Token" == json.load(refused.value)["message"]


def test_user_without_the_permission_is_forbidden():
    """A right signature is not enough."""
    user = IamUser(access_key_id="emulator", secret_access_key=SECRET, may_manage_connections=False)
    with ApiGatewayEmulator.start(Options(iam_users=(user,))) as emulator:
        client = api(emulator)
        with pytest.raises(client.exceptions.ForbiddenException):
            client.get_connection(ConnectionId=STRANGER)


def test_frames_and_calls_share_the_throttle(connect):
    """Three tokens: a frame and two calls; the next call is answered 429, and so is a frame."""
    with ApiGatewayEmulator.start(Options(quotas=Quotas(requests_per_s=0.01, burst=3))) as emulator:
        peer, client = connect(emulator), api(emulator)
        name = peer.id
        for _ in range(2):
            client.get_connection(ConnectionId=name)
        with pytest.raises(client.exceptions.LimitExceededException):
            client.post_to_connection(ConnectionId=name, Data=b"x")
        assert "Too Many Requests" == peer.ask(action="join", channel="c")["message"]
        counts = stats(emulator)
        assert (2, 1) == (counts["calls"]["accepted"], counts["calls"]["throttled"])
        assert 1 == counts["messages"]["throttled"]["quota"]


@pytest.mark.slow
def test_connections_and_calls_go_over_tls(connect):
    """With the certificate the emulator makes; both are checked by libraries other than ours."""
    with ApiGatewayEmulator.start(Options(tls=True)) as emulator:
        ca_file = str(emulator.folder / "ca.pem")
        peer = connect(emulator).join()
        api(emulator, ca_file=ca_file).post_to_connection(ConnectionId=peer.id, Data=b'"over TLS"')
        assert "over TLS" == peer.hear()
        with pytest.raises(SSLError):
            api(emulator, ca_file=True).get_connection(ConnectionId=peer.id)


@pytest.mark.slow
def test_calls_find_connections_of_other_processes(connect):
    """Whichever process takes the call; each of them holds some of the connections."""
    with ApiGatewayEmulator.start(Options(processes=2)) as emulator:
        peers = [connect(emulator) for _ in range(8)]
        names = [peer.id for peer in peers]
        for name, peer in zip(names, peers, strict=True):
            for client in (api(emulator), api(emulator)):
                client.post_to_connection(ConnectionId=name, Data=json.dumps(name).encode())
                assert name == peer.hear()
                client.get_connection(ConnectionId=name)
        client.delete_connection(ConnectionId=names[0])
        with pytest.raises(ConnectionClosed):
            peers[0].socket.recv(timeout=PATIENCE_S)
