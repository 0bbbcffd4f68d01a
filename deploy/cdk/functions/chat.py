"""A chat room behind an API Gateway WebSocket API, the usual way: post to each connection.

After AWS's sample (github.com/aws-samples/simple-websockets-chat-app), with channels, and without
its faults: it reads every page of the table, and forgets a connection that is gone, not its sender.
"""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

POSTS_UNDER_WAY = 50
"""As many as the JavaScript SDK that AWS's sample uses has sockets."""

ROW_LIFETIME_S = 3 * 3600
"""``$disconnect`` is best effort, and no connection lives longer than two hours."""

CHANNEL_INDEX = "channel"


@lru_cache(maxsize=2)
def client(service: str, endpoint: str | None = None) -> Any:
    """Return a client of an AWS service, one for each environment of the function."""
    config = Config(
        max_pool_connections=POSTS_UNDER_WAY,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    session = botocore.session.get_session()
    return session.create_client(service, endpoint_url=endpoint, config=config)


def _row(event: dict[str, Any]) -> dict[str, Any]:
    connection = event["requestContext"]["connectionId"]
    return {"TableName": os.environ["TABLE"], "Key": {"connection": {"S": connection}}}


def disconnect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Forget a connection."""
    client("dynamodb").delete_item(**_row(event))
    return {"statusCode": 200}


def connect(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Keep a connection that is in no channel yet."""
    row = _row(event)
    expires = {"N": str(int(time.time()) + ROW_LIFETIME_S)}
    client("dynamodb").put_item(TableName=row["TableName"], Item={**row["Key"], "expires": expires})
    return {"statusCode": 200}


def join(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Put a connection into the channel that its frame names, and out of any other.

    The answer repeats the frame's id, which is how the load side knows it.
    """
    frame = json.loads(event["body"])
    channel = frame["channel"]
    client("dynamodb").update_item(
        **_row(event),
        UpdateExpression="SET channel = :channel",
        ExpressionAttributeValues={":channel": {"S": channel}},
    )
    return {"statusCode": 200, "body": json.dumps({"id": frame.get("id"), "joined": channel})}


def send(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Post a message to each connection of a channel; the answer repeats the frame's id."""
    frame = json.loads(event["body"])
    data = json.dumps(frame["data"], ensure_ascii=False, separators=(",", ":")).encode()
    posts = client("apigatewaymanagementapi", os.environ["CONNECTIONS_ENDPOINT"])
    with ThreadPoolExecutor(POSTS_UNDER_WAY) as threads:
        list(threads.map(lambda to: _post(posts, to, data), _members(frame["channel"])))
    return {"statusCode": 200, "body": json.dumps({"id": frame.get("id")})}


def _members(channel: str) -> list[str]:
    """Return the connections of a channel, from every page of the index."""
    pages = (
        client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=os.environ["TABLE"],
            IndexName=CHANNEL_INDEX,
            KeyConditionExpression="channel = :channel",
            ExpressionAttributeValues={":channel": {"S": channel}},
        )
    )
    return [row["connection"]["S"] for page in pages for row in page["Items"]]


def _post(posts: Any, connection: str, data: bytes) -> None:
    """Post to one connection; one that is gone is forgotten, one that fails stops no other."""
    try:
        posts.post_to_connection(ConnectionId=connection, Data=data)
    except posts.exceptions.GoneException:
        key = {"connection": {"S": connection}}
        client("dynamodb").delete_item(TableName=os.environ["TABLE"], Key=key)
    except (BotoCoreError, ClientError) as error:
        print(f"post failed: {type(error).__name__}")  # noqa: T201 - the function's log
