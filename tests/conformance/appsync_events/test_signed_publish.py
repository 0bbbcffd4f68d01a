"""The client ob-appsync-events-request 0.0.7, over plain HTTP."""

import json
import os
import subprocess

from tests.conformance.appsync_events.node_clients import needs_node, script
from tests.conformance.rows import observed
from tests.support.appsync_signing import SECRET
from tests.support.waiting import PATIENCE_S

RUN = "the client itself runs against the emulator"

pytestmark = needs_node


def publish(emulator, channel, *events, secret=SECRET):
    """Publish with the client; return the status and body it got."""
    url = f"http://localhost:{emulator.port}/event"
    done = subprocess.run(
        ["node", script("signed_publish.mjs"), url, channel, *map(json.dumps, events)],
        env={**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    answer = json.loads(done.stdout)
    return answer["status"], answer["body"]


@observed("Its signature is taken, though it signs the host without the port it sends.", RUN)
def test_signed_publish_is_delivered(peer, emulator):
    """Events of several kinds reach a subscriber."""
    peer.subscribe("1", "/default/ob-request")
    events = [{"text": "<é&/>"}, 2, "three"]
    status, body = publish(emulator, "/default/ob-request", *events)
    assert (200, [0, 1, 2]) == (status, [item["index"] for item in body["successful"]])
    assert events == [json.loads(message["event"]) for message in peer.heard_before_next_answer()]


@observed("A wrong secret is told as a bad signature.", RUN)
def test_wrong_secret_is_a_bad_signature(emulator):
    """Status 400, and nothing is delivered."""
    status, body = publish(emulator, "/default/ob-request", 1, secret="WRONG")
    assert (400, ["BadRequestException"]) == (status, [body["errors"][0]["errorType"]])
