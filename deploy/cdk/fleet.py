"""Locust master and workers on Fargate, started as tasks that end with the run.

They are tasks and no services: a service would start an ended master again, and every run costs
money. Source: docs.aws.amazon.com/AmazonECS/latest/developerguide ("Use bind mounts", "Container
dependency", "Fargate task definition parameters"), read November 2026.
"""

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from deploy.cdk.event_api import EventApi
from deploy.cdk.settings import Settings
from deploy.image import CONTAINERFILE, REPORTS

CHECKOUT = Path(__file__).resolve().parents[2]
LOCUST_PORT = 5557
OPEN_FILES = 100_000
PORTS = "1024 65535"
"""Local ports of a worker's one address: 64,512 connections to one destination."""

WORKER_CPU = 1024
"""One core: a worker is one process. Fargate pairs it with 2 to 8 GB."""

UPLOADER_IMAGE = "public.ecr.aws/aws-cli/aws-cli:2.31.0"


@dataclass(frozen=True)
class _Place:
    """Where the tasks run and what all of them share."""

    stack: Stack
    settings: Settings
    events: EventApi
    image: ecs.ContainerImage
    log: logs.LogGroup
    run_secret: secretsmanager.Secret


def add_fleet(stack: Stack, settings: Settings, events: EventApi) -> None:
    """Add network, cluster, task definitions and the bucket for the results to a stack."""
    network = ec2.Vpc(
        stack,
        "Network",
        max_azs=2,
        nat_gateways=0,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="load", subnet_type=ec2.SubnetType.PUBLIC)
        ],
        gateway_endpoints={
            "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)
        },
    )
    cluster = ecs.Cluster(stack, "Cluster", vpc=network)
    log = logs.LogGroup(
        stack, "Log", retention=logs.RetentionDays.ONE_WEEK, removal_policy=RemovalPolicy.DESTROY
    )
    run_secret = secretsmanager.Secret(
        stack,
        "RunSecret",
        generate_secret_string=secretsmanager.SecretStringGenerator(
            exclude_punctuation=True, password_length=64
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )
    place = _Place(stack, settings, events, _image(settings), log, run_secret)
    results = _add_bucket(stack)
    master = _add_master(place, results)
    worker = _add_worker(place)
    master_group, worker_group = _add_security_groups(stack, network)
    outputs = {
        "ClusterName": cluster.cluster_name,
        "MasterTask": master.task_definition_arn,
        "WorkerTask": worker.task_definition_arn,
        "MasterSecurityGroup": master_group.security_group_id,
        "WorkerSecurityGroup": worker_group.security_group_id,
        "Subnets": ",".join(subnet.subnet_id for subnet in network.public_subnets),
        "ResultsBucket": results.bucket_name,
        "LogGroup": log.log_group_name,
        "Region": stack.region,
    }
    for name, value in outputs.items():
        CfnOutput(stack, name, value=value)


def _image(settings: Settings) -> ecs.ContainerImage:
    if settings.image:
        return ecs.ContainerImage.from_registry(settings.image)
    return ecs.ContainerImage.from_asset(str(CHECKOUT), file=CONTAINERFILE)


def _add_bucket(stack: Stack) -> s3.Bucket:
    """Add a private bucket that is emptied and removed with the stack."""
    return s3.Bucket(
        stack,
        "Results",
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(90))],
        removal_policy=RemovalPolicy.DESTROY,
        auto_delete_objects=True,
    )


def _add_security_groups(
    stack: Stack, network: ec2.Vpc
) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
    """Let workers reach the master and both reach HTTPS; deny all other traffic."""
    master, worker = (
        ec2.SecurityGroup(stack, name, vpc=network, allow_all_outbound=False)
        for name in ("MasterGroup", "WorkerGroup")
    )
    port, https = ec2.Port.tcp(LOCUST_PORT), ec2.Port.tcp(443)
    master.add_ingress_rule(worker, port, "workers of the run")
    worker.add_egress_rule(master, port, "the master of the run")
    for group in (master, worker):
        group.add_egress_rule(ec2.Peer.any_ipv4(), https, "the target, logs, secrets, image")
    return master, worker


def _add_master(place: _Place, results: s3.Bucket) -> ecs.FargateTaskDefinition:
    """Add the task that leads a run and then copies its record into the bucket."""
    task = ecs.FargateTaskDefinition(place.stack, "Master", cpu=2048, memory_limit_mib=8192)
    task.add_volume(name="reports")
    harness = _add_harness(place, task, essential=False)
    harness.add_port_mappings(ecs.PortMapping(container_port=LOCUST_PORT))
    uploader = task.add_container(
        "uploader",
        image=ecs.ContainerImage.from_registry(UPLOADER_IMAGE),
        command=["s3", "cp", "--recursive", REPORTS, f"s3://{results.bucket_name}/reports"],
        logging=_logging(place, "uploader"),
    )
    for container, read_only in ((harness, False), (uploader, True)):
        container.add_mount_points(
            ecs.MountPoint(container_path=REPORTS, source_volume="reports", read_only=read_only)
        )
    uploader.add_container_dependencies(
        ecs.ContainerDependency(
            container=harness, condition=ecs.ContainerDependencyCondition.COMPLETE
        )
    )
    results.grant_put(task.task_role, "reports/*")
    return task


def _add_worker(place: _Place) -> ecs.FargateTaskDefinition:
    settings = place.settings
    task = ecs.FargateTaskDefinition(
        place.stack,
        "Worker",
        cpu=WORKER_CPU,
        memory_limit_mib=settings.worker_memory_mib,
    )
    _add_harness(place, task, essential=True)
    return task


def _add_harness(
    place: _Place, task: ecs.FargateTaskDefinition, *, essential: bool
) -> ecs.ContainerDefinition:
    """Add the harness to a task; its arguments are given when the task is started."""
    api = place.events.api
    container = task.add_container(
        "harness",
        image=place.image,
        command=["--help"],
        essential=essential,
        linux_parameters=ecs.LinuxParameters(
            place.stack, f"{task.node.id}Init", init_process_enabled=True
        ),
        logging=_logging(place, task.node.id.lower()),
        # The allow-list of targets that the harness may load; this API belongs to the app.
        environment={"HARNESS_OWNED_TARGETS": f"{api.http_dns},{api.realtime_dns}"},
        secrets={
            name: ecs.Secret.from_secrets_manager(secret)
            for name, secret in {
                **place.events.secrets,
                "HARNESS_RUN_SECRET": place.run_secret,
            }.items()
        },
        stop_timeout=Duration.seconds(120),
        system_controls=[ecs.SystemControl(namespace="net.ipv4.ip_local_port_range", value=PORTS)],
        ulimits=[
            ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=OPEN_FILES, hard_limit=OPEN_FILES)
        ],
    )
    if "iam" in place.settings.auth_modes:
        api.grant_connect(task.task_role)
        for namespace in place.events.namespaces:
            namespace.grant_publish_and_subscribe(task.task_role)
    return container


def _logging(place: _Place, prefix: str) -> ecs.LogDriver:
    return ecs.LogDrivers.aws_logs(stream_prefix=prefix, log_group=place.log)
