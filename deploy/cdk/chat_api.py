"""The chat on an API Gateway WebSocket API, for comparison: a table and five small functions.

Source: docs.aws.amazon.com/apigateway/latest/developerguide, "Invoke WebSocket APIs" and "Set up
route responses for WebSocket APIs", read November 2026.
"""

from aws_cdk import CfnOutput, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_

from deploy.cdk.function import add_authorizer, add_function
from deploy.cdk.functions.chat import CHANNEL_INDEX
from deploy.cdk.settings import Settings

STAGE = "production"
SEND_TIMEOUT_S = 120
"""A post takes about 30 ms and 50 are in flight: 30,000 connections take some 18 s."""

ROUTES = {"connect": "PutItem", "disconnect": "DeleteItem", "join": "UpdateItem"}
"""Function -> its only permission on the table."""


def add_chat_api(stack: Stack, settings: Settings) -> apigateway.WebSocketStage:
    """Add the chat to a stack, with the outputs that a target file is made from."""
    table = _add_table(stack)
    functions = {name: _add_route_function(stack, name, table) for name in (*ROUTES, "send")}
    for name, action in ROUTES.items():
        table.grant(functions[name], f"dynamodb:{action}")
    api = _add_api(stack, settings, functions)
    stage = apigateway.WebSocketStage(
        stack, "Stage", web_socket_api=api, stage_name=STAGE, auto_deploy=True
    )
    send = functions["send"]
    send.add_environment("CONNECTIONS_ENDPOINT", stage.callback_url)
    stage.grant_management_api_access(send)
    table.grant(send, "dynamodb:Query", "dynamodb:DeleteItem")
    for name, value in {"RealtimeUrl": stage.url, "Region": stack.region}.items():
        CfnOutput(stack, name, value=value)
    return stage


def _add_table(stack: Stack) -> dynamodb.Table:
    """Add the table of connections; a row that no ``$disconnect`` removed expires."""
    table = dynamodb.Table(
        stack,
        "Connections",
        partition_key=dynamodb.Attribute(name="connection", type=dynamodb.AttributeType.STRING),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        time_to_live_attribute="expires",
        removal_policy=RemovalPolicy.DESTROY,
    )
    table.add_global_secondary_index(
        index_name=CHANNEL_INDEX,
        partition_key=dynamodb.Attribute(name="channel", type=dynamodb.AttributeType.STRING),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )
    return table


def _add_route_function(stack: Stack, name: str, table: dynamodb.Table) -> lambda_.Function:
    sends = name == "send"
    return add_function(
        stack,
        name.capitalize(),
        f"chat.{name}",
        environment={"TABLE": table.table_name},
        timeout_s=SEND_TIMEOUT_S if sends else 10,
        memory_mib=1769 if sends else 256,  # 1,769 MB is one whole core.
    )


def _add_api(
    stack: Stack, settings: Settings, functions: dict[str, lambda_.Function]
) -> apigateway.WebSocketApi:
    """Add the API; ``join`` and ``sendmessage`` answer their sender, as the harness expects."""

    def route(name: str) -> integrations.WebSocketLambdaIntegration:
        return integrations.WebSocketLambdaIntegration(name.capitalize(), functions[name])

    authorizer, _token = add_authorizer(stack, "authorize_connect")
    api = apigateway.WebSocketApi(
        stack,
        "Api",
        api_name=f"{settings.name}-chat",
        connect_route_options=apigateway.WebSocketRouteOptions(
            integration=route("connect"),
            authorizer=authorizers.WebSocketLambdaAuthorizer(
                "Token",
                authorizer,
                identity_source=["route.request.header.Authorization"],
            ),
        ),
        disconnect_route_options=apigateway.WebSocketRouteOptions(integration=route("disconnect")),
    )
    api.add_route("join", integration=route("join"), return_response=True)
    api.add_route("sendmessage", integration=route("send"), return_response=True)
    return api
