"""A target file from what ``cdk deploy --outputs-file`` wrote.

::

    python -m deploy.cdk.target OUTPUTS.json > scenarios/targets/mine.toml

What it writes has passed the harness's own loader. No secret is in the outputs, so none is in the
target: it names the variable that holds one.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.core.errors import HarnessError, ScenarioError, ScenarioProblem
from harness.scenario.loading import load_scenario

CHAT_TOKEN_ENV = "CHAT_TOKEN"  # noqa: S105 - the name of a variable
API_KEY_ENV = "APPSYNC_API_KEY"
TOKEN_ENV = "APPSYNC_TOKEN"  # noqa: S105 - the name of a variable
PASSWORD_ENV = "APPSYNC_USERS_PASSWORD"  # noqa: S105 - the name of a variable
USERS_FILE = "users.csv"
EVENT_KEYS = ("HttpHost", "RealtimeHost", "ApiId", "Region", "Namespaces", "AuthModes")
CHAT_KEYS = ("RealtimeUrl", "TokenSecret", "Region")


def event_target(stack: str, outputs: dict[str, str], mode: str | None) -> str:
    """Return the target file of an Event API.

    Args:
        stack: Name of the stack.
        outputs: Its outputs.
        mode: How clients prove who they are; the API's first mode, where it is left out.

    Raises:
        ScenarioError: If an output is missing, or the API does not take the mode.
    """
    _require(stack, outputs, EVENT_KEYS)
    modes = outputs["AuthModes"].split(",")
    mode = mode or modes[0]
    if mode not in modes:
        rule = "must be a mode of the API"
        raise ScenarioError([ScenarioProblem("--auth", "", mode, rule, f"there is {modes}")])
    remark, auth = AUTH[mode](stack, outputs)
    return f"""\
# The Event API of the stack {stack}. Every delivered message is billed. Before a run:
#
#   {remark}

name = {json.dumps(_name(stack))}
system = "appsync-events"
channel_namespace = {json.dumps(outputs["Namespaces"].split(",")[0])}

[endpoints]
http = {json.dumps(f"https://{outputs['HttpHost']}/event")}
realtime = {json.dumps(f"wss://{outputs['RealtimeHost']}/event/realtime")}

[auth]
mode = "{mode}"
{auth}"""


def _api_key(_stack: str, outputs: dict[str, str]) -> tuple[str, str]:
    key = (
        f"aws appsync list-api-keys --region {outputs['Region']} --api-id {outputs['ApiId']} "
        "--query 'apiKeys[0].id' --output text"
    )
    return f'export {API_KEY_ENV}="$({key})"', f'api_key_env = "{API_KEY_ENV}"\n'


def _iam(_stack: str, outputs: dict[str, str]) -> tuple[str, str]:
    remark = "have AWS credentials that may connect, publish and subscribe"
    return remark, f"region = {json.dumps(outputs['Region'])}\n"


def _lambda(stack: str, outputs: dict[str, str]) -> tuple[str, str]:
    return _token(TOKEN_ENV, stack, outputs), f'token_env = "{TOKEN_ENV}"\n'


def _cognito(stack: str, outputs: dict[str, str]) -> tuple[str, str]:
    _require(stack, outputs, ("UserPoolId", "UserPoolClientId"))
    remark = f"export {PASSWORD_ENV}=…, the password of the test users that {USERS_FILE} names"
    keys = {
        "region": outputs["Region"],
        "user_pool_id": outputs["UserPoolId"],
        "client_id": outputs["UserPoolClientId"],
        "users_file": USERS_FILE,
        "password_env": PASSWORD_ENV,
    }
    return remark, "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


AUTH = {"api_key": _api_key, "iam": _iam, "lambda": _lambda, "cognito": _cognito}
"""Mode -> what to do before a run, and the keys of ``[auth]`` besides ``mode``."""


def _token(variable: str, stack: str, outputs: dict[str, str]) -> str:
    _require(stack, outputs, ("TokenSecret",))
    token = (
        f"aws secretsmanager get-secret-value --region {outputs['Region']} "
        f"--secret-id {outputs['TokenSecret']} --query SecretString --output text"
    )
    return f'export {variable}="$({token})"'


def chat_target(stack: str, outputs: dict[str, str]) -> str:
    """Return the target file of the chat on API Gateway.

    Raises:
        ScenarioError: If an output is missing.
    """
    _require(stack, outputs, CHAT_KEYS)
    return f"""\
# The chat of the stack {stack}. Every delivered message is billed. Before a run:
#
#   {_token(CHAT_TOKEN_ENV, stack, outputs)}

name = {json.dumps(_name(stack))}
system = "api-gateway-websocket"

[endpoints]
http = {json.dumps(outputs["RealtimeUrl"].replace("wss://", "https://", 1))}
realtime = {json.dumps(outputs["RealtimeUrl"])}

[client]
channels_per_user = 1

[auth]
mode = "api_key"
api_key_env = "{CHAT_TOKEN_ENV}"
"""


def target_text(
    outputs: dict[str, dict[str, str]], stack: str | None = None, mode: str | None = None
) -> str:
    """Return the target file of one stack, checked by the loader.

    Args:
        outputs: Outputs by stack, as CDK writes them.
        stack: Which one; the only one that describes a system, where it is left out.
        mode: How clients of an Event API prove who they are; its first mode, where left out.

    Raises:
        ScenarioError: If there is no such stack, or its target does not validate.
    """
    described = {
        name for name, values in outputs.items() if {"HttpHost", "RealtimeUrl"} & {*values}
    }
    if stack is None and len(described) == 1:
        (stack,) = described
    if stack not in described:
        names = ", ".join(sorted(described)) or "none"
        rule = "must name a stack that holds a system"
        raise ScenarioError([ScenarioProblem("--stack", "", str(stack), rule, f"there is {names}")])
    if "HttpHost" in outputs[stack]:
        text = event_target(stack, outputs[stack], mode)
    else:
        text = chat_target(stack, outputs[stack])
    _check(text)
    return text


def _check(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "target.toml"
        file.write_text(text, encoding="utf-8")
        (Path(folder) / USERS_FILE).touch()  # The user's own lies beside the real target.
        load_scenario(file)


def _require(stack: str, outputs: dict[str, str], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if not outputs.get(key)]
    if missing:
        hint = "write the outputs anew: cdk deploy --outputs-file OUTPUTS.json"
        raise ScenarioError(
            [ScenarioProblem(stack, key, "", "must be an output", hint) for key in missing]
        )


def _name(stack: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-")


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        rule = "must be a file that cdk deploy --outputs-file wrote"
        raise ScenarioError([ScenarioProblem(str(file), "", str(error), rule)]) from error
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        rule = "must hold an object of outputs for each stack"
        raise ScenarioError([ScenarioProblem(str(file), "", "", rule)])
    return found


def main(
    outputs: Annotated[Path, typer.Argument(help="File that cdk deploy --outputs-file wrote.")],
    stack: Annotated[
        str | None, typer.Option(help="Which stack.  [default: the only one with a system]")
    ] = None,
    auth: Annotated[
        str | None, typer.Option(help="How clients prove who they are.  [default: its first mode]")
    ] = None,
) -> None:
    """Write the target file of a deployed system to stdout."""
    try:
        sys.stdout.write(target_text(_read(outputs), stack, auth))
    except HarnessError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
