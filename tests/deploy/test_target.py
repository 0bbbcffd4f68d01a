"""From the outputs of a deployment to a target file that the harness takes."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from deploy.cdk.target import target_text
from harness.core.errors import ScenarioError
from harness.scenario.loading import load_plan, load_scenario
from harness.scenario.target import most_subscriptions
from tests.deploy.conftest import ROOT
from tests.support.waiting import PATIENCE_S

EVENTS = {
    "HttpHost": "abc.appsync-api.eu-west-1.amazonaws.com",
    "RealtimeHost": "abc.appsync-realtime-api.eu-west-1.amazonaws.com",
    "ApiId": "abc",
    "Region": "eu-west-1",
    "Namespaces": "chat,other",
    "AuthModes": "api_key,iam,cognito,lambda",
    "TokenSecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Token-abc",
    "UserPoolId": "eu-west-1_abc",
    "UserPoolClientId": "client",
}
CHAT = {
    "RealtimeUrl": "wss://xyz.execute-api.eu-west-1.amazonaws.com/production",
    "TokenSecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Token-abc",
    "Region": "eu-west-1",
}


def loaded(text, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    (tmp_path / "users.csv").touch()
    return load_scenario(file)


def test_target_points_at_the_deployed_api(tmp_path):
    """Hosts, namespace and key's variable are those of the deployment; all else is the default."""
    target = loaded(target_text({"fanout-events": EVENTS, "fanout-fleet": {}}), tmp_path)
    assert "fanout-events" == target.name
    assert "appsync-events" == target.system
    assert not target.emulated
    assert "chat" == target.channel_namespace
    assert f"https://{EVENTS['HttpHost']}/event" == target.endpoints.http
    assert f"wss://{EVENTS['RealtimeHost']}/event/realtime" == target.endpoints.realtime
    assert "APPSYNC_API_KEY" == target.auth.api_key_env


def test_target_runs_with_a_workload(write, monkeypatch):
    """With the key in the environment, any workload makes a plan of it."""
    file = write("mine.toml", target_text({"fanout-events": EVENTS}))
    monkeypatch.setenv("APPSYNC_API_KEY", "test")
    plan = load_plan(ROOT / "scenarios/workloads/ci-smoke.toml", file)
    assert "fanout-events" == plan.target.name


@pytest.mark.skipif(
    importlib.util.find_spec("harness.scenario.auth") is None, reason="not in this checkout"
)
@pytest.mark.parametrize(
    ("mode", "key", "value"),
    [
        ("iam", "region", "eu-west-1"),
        ("cognito", "client_id", "client"),
        ("lambda", "token_env", "APPSYNC_TOKEN"),
    ],
)
def test_every_mode_of_the_api_has_a_target(tmp_path, mode, key, value):
    """The mode asked for is written with what the deployment knows of it."""
    auth = loaded(target_text({"a": EVENTS}, mode=mode), tmp_path).auth
    assert (mode, value) == (auth.mode, getattr(auth, key))


def test_mode_the_api_does_not_take_is_refused():
    """A target that nobody would let in is not written."""
    with pytest.raises(ScenarioError, match="must be a mode of the API, got magic"):
        target_text({"a": EVENTS}, mode="magic")


def test_chat_has_a_target_too(tmp_path):
    """The chat's target names its address and the variable of its token."""
    target = loaded(target_text({"fanout-chat": CHAT}), tmp_path)
    assert CHAT["RealtimeUrl"] == target.endpoints.realtime
    assert ("api-gateway-websocket", "CHAT_TOKEN") == (target.system, target.auth.api_key_env)
    assert 1 == most_subscriptions(target)


@pytest.mark.parametrize(
    ("outputs", "stack", "sentence"),
    [
        ({}, None, "--stack must name a stack that holds a system, got None"),
        ({"a": EVENTS, "b": EVENTS}, None, "there is a, b"),
        ({"a": EVENTS}, "b", "there is a"),
        ({"a": EVENTS | {"RealtimeHost": ""}}, "a", "a: RealtimeHost must be an output"),
        ({"a": EVENTS | {"Namespaces": "a/b"}}, "a", "channel_namespace"),
    ],
)
def test_outputs_that_make_no_target_are_refused(outputs, stack, sentence):
    """What is missing or ambiguous is said in a sentence, and no file is written."""
    with pytest.raises(ScenarioError, match=re.escape(sentence)):
        target_text(outputs, stack)


def command(file):
    return subprocess.run(
        [sys.executable, "-m", "deploy.cdk.target", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_command_writes_the_target_to_stdout(write):
    """One command turns the file of CDK into the file of the harness."""
    done = command(write("outputs.json", json.dumps({"fanout-events": EVENTS})))
    assert (0, "") == (done.returncode, done.stderr)
    assert target_text({"fanout-events": EVENTS}) == done.stdout


@pytest.mark.parametrize("text", [None, "{", "[]", '{"a": 1}'])
def test_command_refuses_a_file_that_is_none(tmp_path, text):
    """A file that is missing or not CDK's ends with a sentence and the code of bad usage."""
    file = tmp_path / "outputs.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    done = command(file)
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
