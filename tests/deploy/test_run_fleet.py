"""Starting a fleet, every call checked against the service model of ECS."""

import json

import botocore.session
import pytest
from botocore.stub import ANY, Stubber

from deploy.cdk import run_fleet
from deploy.cdk.run_fleet import OUTPUTS, Fleet, fleet_outputs
from harness.core.errors import MachineError

VALUES = {name: name.lower() for name in OUTPUTS} | {"Subnets": "subnet-1,subnet-2"}
ARN = "arn:aws:ecs:eu-west-1:123456789012:task/load/"
PLACE = {"cluster": "clustername", "tasks": [f"{ARN}master"]}
RUNNING = {
    "taskArn": f"{ARN}master",
    "lastStatus": "RUNNING",
    "attachments": [{"details": [{"name": "privateIPv4Address", "value": "10.0.0.7"}]}],
}


@pytest.fixture
def ecs():
    client = botocore.session.Session().create_client(
        "ecs", "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def expect_run(stub, role, count, command, *, failures=()):
    """Expect tasks of a role to be started, and answer that all but the failures did."""
    names = [role] if role == "master" else [f"{role}{n}" for n in range(count - len(failures))]
    network = {
        "subnets": ["subnet-1", "subnet-2"],
        "securityGroups": [f"{role}securitygroup"],
        "assignPublicIp": "ENABLED",
    }
    stub.add_response(
        "run_task",
        {"tasks": [{"taskArn": f"{ARN}{name}"} for name in names], "failures": list(failures)},
        {
            "cluster": "clustername",
            "taskDefinition": f"{role}task",
            "count": count,
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": network},
            "overrides": {"containerOverrides": [{"name": "harness", "command": command}]},
        },
    )


def expect_master(stub, workers):
    expect_run(stub, "master", 1, ["run", "--master", f"--expect-workers={workers}", "w.toml"])
    for _ in range(2):  # The waiter looks, and then the address is read.
        stub.add_response("describe_tasks", {"tasks": [RUNNING]}, PLACE)


def expect_stops(stub, *names):
    for name in names:
        wanted = {"cluster": "clustername", "task": f"{ARN}{name}", "reason": ANY}
        stub.add_response("stop_task", {}, wanted)


def test_workers_are_told_the_masters_address_ten_at_a_time(ecs):
    """RunTask starts ten at most, so 12 workers take two calls, each with the address."""
    client, stub = ecs
    expect_master(stub, 12)
    expect_run(stub, "worker", 10, ["worker", "--master-host=10.0.0.7"])
    expect_run(stub, "worker", 2, ["worker", "--master-host=10.0.0.7"])
    fleet = Fleet(client, VALUES)
    assert "10.0.0.7" == fleet.start(12, ["w.toml"])
    assert 13 == len(fleet.started)


def test_fleet_that_is_short_of_a_worker_is_stopped(ecs):
    """Where the account allows fewer workers than asked for, nothing goes on costing money."""
    client, stub = ecs
    expect_master(stub, 3)
    failure = {"reason": "RESOURCE:CPU"}
    expect_run(stub, "worker", 3, ["worker", "--master-host=10.0.0.7"], failures=[failure])
    expect_stops(stub, "master", "worker0", "worker1")
    with pytest.raises(
        MachineError, match="worker on Fargate: 2 of 3 started: RESOURCE:CPU, all are needed"
    ):
        Fleet(client, VALUES).start(3, ["w.toml"])


def test_master_that_stops_at_once_says_why(ecs):
    """A task that ends before it runs is reported with ECS's own reason, and no worker starts."""
    client, stub = ecs
    stopped = {**RUNNING, "lastStatus": "STOPPED", "stoppedReason": "CannotPullContainerError"}
    expect_run(stub, "master", 1, ["run", "--master", "--expect-workers=2", "w.toml"])
    for _ in range(2):
        stub.add_response("describe_tasks", {"tasks": [stopped]}, PLACE)
    expect_stops(stub, "master")
    with pytest.raises(MachineError, match="master on Fargate: CannotPullContainerError"):
        Fleet(client, VALUES).start(2, ["w.toml"])


def test_outputs_of_the_fleet_are_found_among_others(write):
    """A file with several stacks is searched for the one with a fleet."""
    file = write("outputs.json", json.dumps({"events": {"ApiId": "a"}, "fleet": VALUES}))
    assert VALUES == fleet_outputs(file)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"events": {"ApiId": "a"}}', '{"a": 1}'])
def test_file_without_a_fleet_is_refused(write, text, capsys):
    """The command ends with a sentence and the code of bad usage, not with a traceback."""
    assert 2 == run_fleet.main([str(write("outputs.json", text)), "--workers", "1", "w.toml"])
    assert "no outputs of a fleet" in capsys.readouterr().err


def test_stack_has_every_output_that_is_needed(templates):
    """What the command reads is what the stack of the fleet writes."""
    assert set(OUTPUTS) <= set(templates["fleet"].to_json()["Outputs"])
