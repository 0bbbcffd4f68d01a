"""Lambda functions of the app: small, Python, with a log that is deleted with them."""

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager

SOURCE = Path(__file__).resolve().parent / "functions"
TOKEN_LENGTH = 40


def add_function(
    stack: Stack,
    name: str,
    handler: str,
    *,
    environment: Mapping[str, str],
    timeout_s: int = 10,
    memory_mib: int = 256,
) -> lambda_.Function:
    """Add a function of ``deploy/cdk/functions`` to a stack.

    Args:
        stack: Where it goes.
        name: Its name in the stack.
        handler: ``module.function``.
        environment: Variables that it reads.
        timeout_s: When it is ended.
        memory_mib: Memory it has; CPU grows with it.
    """
    log = logs.LogGroup(
        stack,
        f"{name}Log",
        retention=logs.RetentionDays.ONE_WEEK,
        removal_policy=RemovalPolicy.DESTROY,
    )
    return lambda_.Function(
        stack,
        name,
        code=lambda_.Code.from_asset(str(SOURCE), exclude=["__pycache__"]),
        handler=handler,
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        environment=dict(environment),
        timeout=Duration.seconds(timeout_s),
        memory_size=memory_mib,
        log_group=log,
    )


def add_authorizer(stack: Stack, function: str) -> tuple[lambda_.Function, secretsmanager.Secret]:
    """Add a function that accepts clients with a token, and the secret that holds the token.

    Args:
        stack: Where they go; gets the output ``TokenSecret``, the secret's ARN and never its value.
        function: Function of ``token_authorizer.py``, by the kind of API that asks.
    """
    token = secretsmanager.Secret(
        stack,
        "Token",
        generate_secret_string=secretsmanager.SecretStringGenerator(
            exclude_punctuation=True, password_length=TOKEN_LENGTH
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )
    authorizer = add_function(
        stack,
        "Authorizer",
        f"token_authorizer.{function}",
        environment={"TOKEN_SECRET": token.secret_arn},
    )
    token.grant_read(authorizer)
    CfnOutput(stack, "TokenSecret", value=token.secret_arn)
    return authorizer, token
