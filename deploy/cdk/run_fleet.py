"""Start a run on Fargate: the master, and when it has an address, its workers.

::

    python -m deploy.cdk.run_fleet OUTPUTS.json --workers N WORKLOAD --target TARGET …

Source: docs.aws.amazon.com/AmazonECS/latest/APIReference, RunTask and DescribeTasks, read November
2026.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from harness.core.errors import HarnessError, MachineError

TASKS_AT_ONCE = 10
"""Most tasks that one call of RunTask starts."""

OUTPUTS = (
    "ClusterName",
    "MasterTask",
    "WorkerTask",
    "MasterSecurityGroup",
    "WorkerSecurityGroup",
    "Subnets",
    "LogGroup",
    "Region",
)


@dataclass
class Fleet:
    """The tasks of one run.

    Attributes:
        ecs: Client of ECS.
        outputs: Outputs of the fleet's stack.
        started: ARNs of the tasks started so far, the master's first.
    """

    ecs: Any
    outputs: dict[str, str]
    started: list[str] = field(default_factory=list)

    def start(self, workers: int, arguments: list[str]) -> str:
        """Start master and workers; return the master's address.

        Args:
            workers: How many.
            arguments: What ``harness run`` gets besides.

        Raises:
            MachineError: If a task does not start; those that did are stopped again.
        """
        try:
            command = ["run", "--master", f"--expect-workers={workers}", *arguments]
            self._run_tasks("Master", 1, command)
            address = self._address_of(self.started[0])
            for done in range(0, workers, TASKS_AT_ONCE):
                count = min(TASKS_AT_ONCE, workers - done)
                self._run_tasks("Worker", count, ["worker", f"--master-host={address}"])
        except BaseException:
            self.stop()
            raise
        return address

    def stop(self) -> None:
        """Stop every task of the run."""
        for task in self.started:
            self.ecs.stop_task(
                cluster=self.outputs["ClusterName"], task=task, reason="stopped by run_fleet"
            )

    def _run_tasks(self, role: str, count: int, command: list[str]) -> None:
        network = {
            "subnets": self.outputs["Subnets"].split(","),
            "securityGroups": [self.outputs[f"{role}SecurityGroup"]],
            "assignPublicIp": "ENABLED",
        }
        answer = self.ecs.run_task(
            cluster=self.outputs["ClusterName"],
            taskDefinition=self.outputs[f"{role}Task"],
            count=count,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
            overrides={"containerOverrides": [{"name": "harness", "command": command}]},
        )
        self.started += [task["taskArn"] for task in answer["tasks"]]
        if answer.get("failures"):
            reason = answer["failures"][0].get("reason", "no reason given")
            raise MachineError(
                f"{role.lower()} on Fargate",
                f"{len(answer['tasks'])} of {count} started: {reason}",
                "all are needed",
                "ask for more Fargate vCPUs in Service Quotas, or take fewer workers",
            )

    def _address_of(self, task: str) -> str:
        """Wait until a task runs and return its private address."""
        place = {"cluster": self.outputs["ClusterName"], "tasks": [task]}
        try:
            self.ecs.get_waiter("tasks_running").wait(**place)
        except WaiterError as error:
            (stopped,) = self.ecs.describe_tasks(**place)["tasks"]
            found = stopped.get("stoppedReason", str(error))
            hint = "its log is in the log group of the stack"
            raise MachineError("master on Fargate", found, "it must run", hint) from error
        (running,) = self.ecs.describe_tasks(**place)["tasks"]
        details = (detail for one in running["attachments"] for detail in one["details"])
        return next(str(one["value"]) for one in details if one["name"] == "privateIPv4Address")


def fleet_outputs(file: Path) -> dict[str, str]:
    """Return the outputs of the stack with a fleet.

    Raises:
        MachineError: If the file is unreadable or holds no fleet.
    """
    try:
        stacks = json.loads(file.read_text(encoding="utf-8")).values()
        return next(one for one in stacks if set(OUTPUTS) <= set(one))
    except (OSError, ValueError, AttributeError, TypeError, StopIteration) as error:
        raise MachineError(
            str(file),
            "no outputs of a fleet",
            f"{', '.join(OUTPUTS)} are needed",
            "write them: cdk deploy fanout-fleet --outputs-file FILE",
        ) from error


def main(arguments: list[str]) -> int:
    """Start a run and print the commands to follow and to stop it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.cdk.run_fleet",
        description="Start a run on Fargate. What is not known here goes to harness run.",
    )
    parser.add_argument("outputs", type=Path, help="file that cdk deploy --outputs-file wrote")
    parser.add_argument("--workers", type=int, required=True, help="tasks that make the load")
    options, rest = parser.parse_known_args(arguments)
    if options.workers < 1:
        parser.error("--workers: at least 1")
    try:
        outputs = fleet_outputs(options.outputs)
        ecs = botocore.session.get_session().create_client("ecs", outputs["Region"])
        fleet = Fleet(ecs, outputs)
        sys.stderr.write("starting the master, which takes a minute\n")
        address = fleet.start(options.workers, rest)
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        return int(error.exit_code)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"error: AWS: {error}\n")
        return int(MachineError.exit_code)
    cluster, region = outputs["ClusterName"], outputs["Region"]
    sys.stdout.write(
        f"master at {address}, {options.workers} workers\n"
        f"follow: aws logs tail --region {region} --follow {outputs['LogGroup']}\n"
        f"stop: aws ecs stop-task --region {region} --cluster {cluster} --task {fleet.started[0]}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
