"""Whole runs whose chatters sign in to a user pool.

The pool is moto's, which shares no code with the harness; the emulator verifies its tokens with the
public keys that it gives out, and a handler writes down whom each message came from.
"""

import contextlib
import json
import re
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.support.runs import NO_AWS_SETTINGS, ROOT, SHORT, TOKEN, after

POOL = ROOT / "tests/support/user_pool.py"
QUICKSTART = ROOT / "scenarios" / "workloads" / "quickstart.toml"
PASSWORD = "Passw0rd-of-the-test"
CHATTERS = 20
USERS = [f"chatter-{place}" for place in range(CHATTERS)]
LIFETIME_S = 12
"""A token is replaced in its last third: 4 s, which a busy machine keeps too."""
TARGET = """
name = "guarded"
system = "appsync-events"
emulated = true
[emulator]
connection_auth_modes = ["user_pool"]
default_publish_auth_modes = ["user_pool"]
default_subscribe_auth_modes = ["user_pool"]
namespaces = [{{ name = "default", on_publish = "{handler}:note" }}]
[emulator.user_pool]
issuer = "{issuer}"
client_id = "{client_id}"
jwks_file = "{jwks}"
[auth]
mode = "cognito"
region = "us-east-1"
client_id = "{client_id}"
users_file = "{users}"
password_env = "TEST_PASSWORD"
{auth}
"""
HANDLER = """
import json, os

def note(event):
    who = event["identity"]
    rows = [
        {{
            "username": who["username"],
            "claims": who["claims"],
            "stream": int(one["payload"]["text"][12:17], 36),
            "sequence": int(one["payload"]["text"][17:24], 36),
        }}
        for one in event["events"]
    ]
    line = "".join(json.dumps(row) + "\\n" for row in rows).encode()
    file = os.open("{notes}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, line)
    os.close(file)
    return {{"events": event["events"]}}
"""
SIGN_IN_AS_ADMINISTRATOR = """
sign_in = "admin_user_password"
user_pool_id = "{user_pool_id}"
client_secret_env = "TEST_CLIENT_SECRET"
token_use = "id"
"""
ALONE = NO_AWS_SETTINGS | {"TEST_PASSWORD": PASSWORD}


@contextlib.contextmanager
def playing(**settings):
    """Serve a pool in a process of its own for as long as the block lasts."""
    asked = {"users": USERS, "password": PASSWORD, "generate_secret": False} | settings
    command = [sys.executable, str(POOL), json.dumps(asked)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def chatting(launcher, pool, settings, *, auth="", **variables):
    """Run on an emulator that lets in the users of a pool; return the outcome and the notes."""
    folder = launcher.new_folder()
    (folder / "jwks.json").write_text(json.dumps(pool["jwks"]), encoding="utf-8")
    (folder / "users.csv").write_text("\n".join(USERS), encoding="utf-8")
    (folder / "witness.py").write_text(HANDLER.format(notes=folder / "notes"), encoding="utf-8")
    text = TARGET.format(
        **pool | {"jwks": folder / "jwks.json"},
        users=folder / "users.csv",
        handler=folder / "witness.py",
        auth=auth.format(**pool),
    )
    (folder / "guarded.toml").write_text(text, encoding="utf-8")
    users = {"population.subscribers": 60, "population.chatters": CHATTERS}
    variables = ALONE | {"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": pool["url"]} | variables
    outcome = launcher.run(
        SHORT | users | settings, workload=QUICKSTART, target=folder / "guarded.toml", **variables
    ).outcome()
    notes = folder / "notes"
    lines = notes.read_text("utf-8").splitlines() if notes.is_file() else []
    return outcome, [json.loads(line) for line in lines]


def expiring(launcher):
    with playing(lifetime_s=LIFETIME_S) as pool:
        return chatting(launcher, pool, {"phases.measure_s": 12.0, "publishing.rate_per_s": 40.0})


def as_administrator(launcher):
    keys = {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "of-the-administrator"}
    with playing(lifetime_s=3600, generate_secret=True) as pool:
        keys["TEST_CLIENT_SECRET"] = pool["client_secret"]
        return chatting(launcher, pool, {}, auth=SIGN_IN_AS_ADMINISTRATOR, **keys)


def wrong_password(launcher):
    with playing(lifetime_s=3600) as pool:
        return chatting(launcher, pool, {}, TEST_PASSWORD="another-Passw0rd")


def assert_nothing_refused(outcome):
    """Fail unless everybody got in and every message was taken and arrived."""
    summary = outcome.summary
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left), outcome.said
    assert (CHATTERS + 60, 0) == (summary["joins"]["succeeded"], summary["joins"]["failed"])
    assert 0 == summary["publishes"]["failed"] == summary["publishes"]["throttled"]
    assert 0 == summary["deliveries"]["lost"]
    assert 0 == len(outcome.table("errors"))


def identities(messages, notes):
    """Return the names under which each chatter of the record published, as the system saw them."""
    chatter_of = {(row.stream, row.sequence): row.chatter for row in messages.itertuples()}
    found = defaultdict(set)
    for note in notes:
        found[chatter_of[note["stream"], note["sequence"]]].add(note["username"])
    return dict(found)


@after(expiring)
def test_each_chatter_publishes_as_a_person_of_its_own(outcome):
    """Chatter k of the record is user k of the pool, whenever the system was asked."""
    outcome, notes = outcome
    assert_nothing_refused(outcome)
    messages = outcome.table("messages")
    assert len(messages) == len(notes)
    found = identities(messages, notes)
    assert {number: {USERS[number]} for number in found} == found
    assert messages["chatter"].nunique() == len(found) > CHATTERS / 2


@after(expiring)
def test_tokens_that_expire_during_the_run_are_refreshed_without_a_new_sign_in(outcome):
    """A token lives shorter than the run; those that follow it descend from the same sign-in."""
    outcome, notes = outcome
    assert_nothing_refused(outcome)
    tokens, sign_ins = defaultdict(set), defaultdict(set)
    for note in notes:
        tokens[note["username"]].add(note["claims"]["jti"])
        sign_ins[note["username"]].add(note["claims"]["origin_jti"])
    assert {1} == {len(found) for found in sign_ins.values()}
    assert 2 <= max(len(found) for found in tokens.values())


@pytest.mark.slow
@after(as_administrator)
def test_administrator_signs_users_in_to_a_client_that_has_a_secret(outcome):
    """By AdminInitiateAuth, with the secret's hash; the ID token is shown."""
    outcome, notes = outcome
    assert_nothing_refused(outcome)
    assert {"id"} == {note["claims"]["token_use"] for note in notes}
    assert set(USERS) >= {note["username"] for note in notes}


@pytest.mark.slow
@pytest.mark.parametrize("secret", [PASSWORD, TOKEN, "of-the-administrator"])
@after(as_administrator)
def test_neither_password_nor_token_is_kept(outcome, secret):
    """Not in the record, not in the log, not in what was said."""
    outcome, _ = outcome
    assert not re.search(secret.encode(), outcome.everything)


@after(wrong_password)
def test_wrong_password_ends_the_run_before_anybody_joins(outcome):
    """In one sentence that names the user, and the pool's own error."""
    outcome, notes = outcome
    assert (2, []) == (outcome.exit_code, notes)
    cause = outcome.run["cause"]["message"]
    assert f"user {USERS[0]} is not signed in" in cause
    assert "NotAuthorizedException" in cause
    assert "another-Passw0rd" not in outcome.said
