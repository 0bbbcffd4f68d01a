import re
import sys
from functools import partial

import psutil

from tests.support.ports import free_port
from tests.support.runs import NO_AWS_SETTINGS, ROOT, SHORT, TOKEN, after, after_each

SECRET = "wJalrXUtnFEMI-of-the-test"
SESSION_TOKEN = "IQoJb3JpZ2luX2Vj-of-the-test"
PASS_WORD = "let-in-of-the-test"
TARGET = """
name = "guarded"
system = "appsync-events"
emulated = true
[emulator]
port = {port}
connection_auth_modes = ["{mode}"]
default_publish_auth_modes = ["{mode}"]
default_subscribe_auth_modes = ["{mode}"]
{more}
[auth]
{auth}
"""
IAM_USER = f"""
[[emulator.iam_users]]
access_key_id = "AKIDTEST"
secret_access_key = "{SECRET}"
session_token = "{SESSION_TOKEN}"
"""
AWS = NO_AWS_SETTINGS | {
    "AWS_ACCESS_KEY_ID": "AKIDTEST",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
}
IAM = 'mode = "iam"\nregion = "us-east-1"'
IDENTITIES = 5
ISSUE = f"""
import json, sys, urllib.request
kept = open(sys.argv[3], "a")
for place in range({IDENTITIES}):
    asked = dict(mode=sys.argv[2], subject="user-%d" % place, lifetime_s=12)
    answer = urllib.request.urlopen(sys.argv[1], json.dumps(asked).encode())
    token = json.loads(answer.read())["token"]
    print(token)
    print(token, file=kept)
"""
AUTHORIZER = f"""
def judge(event):
    return {{"isAuthorized": event["authorizationToken"] == "{PASS_WORD}"}}
"""
QUICKSTART = ROOT / "scenarios" / "workloads" / "quickstart.toml"
REDUCED = SHORT | {"population.subscribers": 45, "population.chatters": 5, "slos": "[]"}


def run(launcher, mode, auth, *, port=0, more="", settings=REDUCED, **variables):
    """Return a running command on an emulator that lets in one mode only."""
    file = launcher.new_folder() / "guarded.toml"
    file.write_text(TARGET.format(port=port, mode=mode, more=more, auth=auth), encoding="utf-8")
    return launcher.run(settings, workload=QUICKSTART, target=file, **variables)


def assert_whole(outcome):
    """Fail unless everybody got in and everything arrived."""
    summary = outcome.summary
    assert (0, [], []) == (outcome.exit_code, outcome.errors, outcome.left), outcome.said
    assert "pass" == summary["verdict"]
    assert (50, 0) == (summary["joins"]["succeeded"], summary["joins"]["failed"])
    assert 0 == summary["publishes"]["failed"] == summary["deliveries"]["lost"]
    assert summary["deliveries"]["received"] > 0


def assert_nowhere(outcome, *patterns):
    """Fail where one of these is in a file of the run's folder, or was said."""
    assert [] == [p for p in patterns if re.search(p.encode(), outcome.everything)]


def signed(launcher):
    running = run(launcher, "iam", IAM, more=IAM_USER, **AWS).until_second(1)
    lines = [psutil.Process(pid).cmdline() for pid in running.pids()]
    (running.folder.parent / "ps").write_text(repr(lines), encoding="utf-8")
    return running.outcome()


@after(signed)
def test_run_that_signs_loses_nothing_and_tells_no_secret(outcome):
    """Every join and publish is signed and verified; no file and no command line has a secret."""
    assert_whole(outcome)
    assert_nowhere(outcome, SECRET, SESSION_TOKEN, "AWS4-HMAC-SHA256")
    lines = (outcome.folder.parent / "ps").read_text("utf-8")
    assert "harness.systems.appsync_events.emulator.process" in lines
    assert SECRET not in lines
    assert SESSION_TOKEN not in lines


def wrongly_signed(launcher):
    variables = AWS | {"AWS_SECRET_ACCESS_KEY": "another-secret"}
    return run(launcher, "iam", IAM, more=IAM_USER, **variables).outcome()


@after(wrongly_signed)
def test_wrong_secret_ends_the_run_with_one_sentence(outcome):
    """Exit 5, and the sentence names the system's own error."""
    assert 5 == outcome.exit_code
    sentence = outcome.run["cause"]["message"]
    assert "50 of 50 users failed with BadRequestException at stage init" in sentence
    assert "The request signature we calculated does not match" in sentence
    assert "\n" not in sentence
    assert_nowhere(outcome, "another-secret", SECRET, SESSION_TOKEN)


def with_tokens(launcher, issuer):
    port = free_port()
    url = f"http://127.0.0.1:{port}/_emulator/tokens"
    script = launcher.new_folder() / "issue.py"
    script.write_text(ISSUE, encoding="utf-8")
    issued = launcher.new_folder() / "issued"
    command = f'token_command = ["{sys.executable}", "{script}", "{url}", "{issuer}", "{issued}"]'
    longer = REDUCED | {"phases.measure_s": 12.0}
    running = run(launcher, issuer, f'mode = "oidc"\n{command}', port=port, settings=longer)
    return running.outcome(), issued.read_text("utf-8")


RENEWED = {issuer: partial(with_tokens, issuer=issuer) for issuer in ("oidc", "user_pool")}


@after_each(RENEWED)
def test_tokens_that_expire_during_the_run_are_replaced_in_time(outcome):
    """Five identities whose tokens last 12 s carry a longer run, by one command for all five.

    A token is replaced in its last third, so the command may take 4 s on a busy machine.
    """
    outcome, issued = outcome
    assert_whole(outcome)
    assert len(re.findall(TOKEN, issued)) >= 2 * IDENTITIES
    assert_nowhere(outcome, TOKEN)


def with_pass_word(launcher):
    function = launcher.new_folder() / "authorizer.py"
    function.write_text(AUTHORIZER, encoding="utf-8")
    more = f'[emulator.lambda_authorizer]\nfunction = "{function}:judge"'
    auth = 'mode = "lambda"\ntoken_env = "PASS_WORD"'
    return run(launcher, "lambda", auth, more=more, PASS_WORD=PASS_WORD).outcome()


@after(with_pass_word)
def test_run_with_a_token_of_the_environment_loses_nothing(outcome):
    """The Lambda authorizer is asked, and the token is kept nowhere."""
    assert_whole(outcome)
    assert_nowhere(outcome, PASS_WORD)


def unfounded(launcher):
    variables = AWS | {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    return run(launcher, "iam", IAM, more=IAM_USER, **variables).outcome()


@after(unfounded)
def test_run_without_credentials_ends_before_anybody_joins(outcome):
    """In one sentence with a hint."""
    assert 2 == outcome.exit_code
    assert "Worker 0 could not start: auth: no AWS credentials found" in outcome.stdout
    assert "set AWS_PROFILE, or AWS_ACCESS_KEY_ID" in outcome.run["cause"]["hint"]
