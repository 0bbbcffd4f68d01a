"""What `harness emulate` prints, pasted by a user of Amplify."""

import json
import os
import selectors
import ssl
import subprocess
import sys
import urllib.request

import pytest

from tests.conformance.appsync_events.node_clients import INSTALLED, needs_node
from tests.conformance.rows import observed
from tests.support.waiting import PATIENCE_S

pytestmark = needs_node

AMPLIFY = "Amplify (JavaScript):"
TRUST = "export NODE_EXTRA_CA_CERTS="

BEFORE = """
import WebSocket from 'ws'
import { webcrypto } from 'node:crypto'
globalThis.WebSocket ??= WebSocket
globalThis.crypto ??= webcrypto
const token = process.env.TOKEN
"""
AFTER = """
const calls = MODE === 'lambda' ? { authToken: token } : {}
const subscription = channel.subscribe(
  { next: ({ event }) => { console.log(JSON.stringify(event)); process.exit(0) } }, calls)
await subscription.ready
await channel.publish({ hello: 'pasted' }, calls)
setTimeout(() => process.exit(3), 60_000)
"""
TARGET = """
name = "pasted"
system = "appsync-events"
emulated = true
[emulator]
tls = true
connection_auth_modes = ["{mode}"]
default_publish_auth_modes = ["{mode}"]
default_subscribe_auth_modes = ["{mode}"]
[[emulator.iam_users]]
access_key_id = "AKIDPASTED"
secret_access_key = "SECRET"
[emulator.lambda_authorizer]
function = "authorizer.py:authorize"
"""
AUTHORIZER = """
def authorize(event, _context):
    return {"isAuthorized": event["authorizationToken"] == "allowed"}
"""


@pytest.fixture
def page(tmp_path, request):
    """The page that the command prints for an API of one auth mode."""
    (tmp_path / "target.toml").write_text(TARGET.format(mode=request.param), encoding="utf-8")
    (tmp_path / "authorizer.py").write_text(AUTHORIZER, encoding="utf-8")
    command = [sys.executable, "-m", "harness", "emulate", "target.toml", "--exit-with-parent"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield read_page(process.stdout)
        process.stdin.close()


def read_page(stdout):
    """Return all that is printed up to the last block."""
    text = ""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while "ca_file = " not in text:
            assert selector.select(PATIENCE_S), text
            text += os.read(stdout.fileno(), 65536).decode()
    return text


def token_of(mode, page):
    """Return a token that lets its bearer in; none where the mode has another way."""
    if mode == "lambda":
        return "allowed"
    if mode not in {"user_pool", "oidc"}:
        return ""
    address = page.partition("  counts     ")[2].split()[0].replace("stats", "tokens")
    trust = ssl.create_default_context(cafile=page.partition(TRUST)[2].split()[0])
    asked = urllib.request.Request(address, json.dumps({"mode": mode}).encode())  # noqa: S310 - ours
    with urllib.request.urlopen(asked, context=trust) as answer:  # noqa: S310 - ours
        return json.loads(answer.read())["token"]


@observed(
    "The settings that `harness emulate` prints for Amplify work as they are pasted.",
    "Amplify itself runs with them",
)
@pytest.mark.parametrize(
    ("page", "mode", "name"),
    [
        ("api_key", "api_key", "apiKey"),
        ("iam", "iam", "iam"),
        ("lambda", "lambda", "lambda"),
        ("user_pool", "user_pool", "userPool"),
        ("oidc", "oidc", "oidc"),
    ],
    indirect=["page"],
)
def test_settings_work_as_pasted(page, mode, name):
    """Nothing is changed but what is added around: a subscription and a publish."""
    pasted = page.partition(f"{AMPLIFY}\n\n")[2].partition("\n\n")[0]
    script = INSTALLED / "pasted.mjs"
    after = AFTER.replace("MODE", json.dumps(name))
    script.write_text(f"{BEFORE}\n{pasted}\n{after}", encoding="utf-8")
    variables = {
        "NODE_EXTRA_CA_CERTS": page.partition(TRUST)[2].split()[0],
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "TOKEN": token_of(mode, page),
    }
    done = subprocess.run(
        ["node", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (0, '{"hello":"pasted"}\n') == (done.returncode, done.stdout), done.stderr
