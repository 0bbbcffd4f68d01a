"""What an API Gateway WebSocket API costs with its standard broadcast, and its quotas.

The broadcast keeps connections in a DynamoDB table; a Lambda function reads it and posts to each
connection by itself, because the service has no call for several.

List prices of us-east-1 and default quotas, read November 2026.
Source: aws.amazon.com/api-gateway/pricing, aws.amazon.com/lambda/pricing,
aws.amazon.com/dynamodb/pricing; docs.aws.amazon.com/apigateway, "Quotas for configuring and
running a WebSocket API"; the pattern is that of aws-samples/simple-websockets-chat-app.
"""

from typing import Final

from harness.core.pricing import (
    MINUTES_PER_HOUR,
    Line,
    Price,
    Quota,
    Switch,
    Usage,
    charge,
    egress,
)

STEP_BYTES: Final = 32 * 1024
"""Messages are metered in steps of 32 KB, in both directions."""

_PRICING = "aws.amazon.com/api-gateway/pricing"
_LIMITS = "docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"
_LAMBDA = "aws.amazon.com/lambda/pricing"
_DYNAMODB = "aws.amazon.com/dynamodb/pricing/on-demand"

MESSAGE: Final = Price("Messages", 1.0, 1e6, "messages", _PRICING, tiers=((1e9, 0.8),))
CONNECTION_MINUTE: Final = Price("Connection time", 0.25, 1e6, "connection minutes", _PRICING)
LAMBDA_REQUEST: Final = Price("Lambda requests", 0.2, 1e6, "requests", _LAMBDA)
LAMBDA_TIME: Final = Price("Lambda time on arm64", 0.0000133334, 1, "GB-second", _LAMBDA)
TABLE_READ: Final = Price("DynamoDB reads", 0.125, 1e6, "read units", _DYNAMODB)
TABLE_WRITE: Final = Price("DynamoDB writes", 0.625, 1e6, "write units", _DYNAMODB)
PRICES: Final = (MESSAGE, CONNECTION_MINUTE, LAMBDA_REQUEST, LAMBDA_TIME, TABLE_READ, TABLE_WRITE)

QUOTAS: Final = (
    Quota(
        "requests, @connections calls too",
        10_000,
        "a second and account",
        True,
        _LIMITS,
        bounds="deliveries_per_s",
    ),
    Quota("burst of requests", 5_000, "requests", False, _LIMITS),
    Quota("new connections", 500, "a second and account", True, _LIMITS, bounds="connects_per_s"),
    Quota("connection duration", 2, "hours", False, _LIMITS),
    Quota("idle connection", 10, "minutes", False, _LIMITS),
    Quota("frame", 32 * 1024, "bytes", False, _LIMITS),
    Quota("message", 128 * 1024, "bytes", False, _LIMITS),
)

LONGEST_CONNECTION_H: Final = 2
POST_S: Final = 0.03
"""Assumed: AWS publishes no latency of a post; third parties reckon with 15 to 100 ms."""
SOCKETS: Final = 50
"""Posts at a time from one function: the JavaScript SDK's default."""
FUNCTION_GB: Final = 0.5
CONNECT_FUNCTION_S: Final = 0.02
"""Assumed: how long the function at $connect runs, in seconds."""
ITEM_BYTES: Final = 100
"""Assumed: a row of the connection table."""
READ_UNIT_BYTES: Final = 4 * 1024

BROADCAST: Final = Switch(
    "broadcast", "Are the table and functions of the broadcast counted?", True
)


def bill(usage: Usage) -> tuple[Line, ...]:
    """Return the lines of the bill for a use of an API Gateway WebSocket API."""
    messages = usage.delivered_steps(STEP_BYTES) + usage.published_steps(STEP_BYTES)
    minutes = usage.connection_minutes
    return (
        charge("messages", "(deliveries + publishes) × 32 KB steps", messages, MESSAGE, usage),
        charge("connection_minutes", "users × minutes", minutes, CONNECTION_MINUTE, usage),
        *_broadcast(usage),
        *_connects(usage),
        egress(usage),
    )


def _broadcast(usage: Usage) -> tuple[Line, ...]:
    gb_s = usage.delivered * POST_S / SOCKETS * FUNCTION_GB
    reads = usage.delivered * ITEM_BYTES / READ_UNIT_BYTES / 2
    calls = usage.published
    return (
        charge("broadcast_calls", "one a publish", calls, LAMBDA_REQUEST, usage, BROADCAST),
        charge(
            "broadcast_time", "deliveries × 30 ms ÷ 50 sockets × 0.5 GB",
            gb_s, LAMBDA_TIME, usage, BROADCAST,
        ),
        charge(
            "table_reads", "deliveries × 100 B ÷ 4 KB ÷ 2 (eventually consistent)",
            reads, TABLE_READ, usage, BROADCAST,
        ),
    )  # fmt: skip


def _connects(usage: Usage) -> tuple[Line, ...]:
    """Each connection is cut after two hours at the latest, so there are as many at least."""
    least = usage.connection_minutes / MINUTES_PER_HOUR / LONGEST_CONNECTION_H
    connects = max(usage.connects, least)
    gb_s = connects * CONNECT_FUNCTION_S * FUNCTION_GB
    words = "connections opened, at least one every 2 h"
    return (
        charge("connects", words, connects, MESSAGE, usage),
        charge("connect_calls", words, connects, LAMBDA_REQUEST, usage, BROADCAST),
        charge("connect_time", "connects × 20 ms × 0.5 GB", gb_s, LAMBDA_TIME, usage, BROADCAST),
        charge("table_writes", words, connects, TABLE_WRITE, usage, BROADCAST),
    )
