"""What it costs to have users ask for news every few seconds.

A request costs the same whether it brings news or not, so the bill follows the interval and not
the messages. Ways to serve the same polls that cost differently are switches.

Source: aws.amazon.com/api-gateway/pricing, aws.amazon.com/lambda/pricing,
aws.amazon.com/cloudfront/pricing, aws.amazon.com/s3/pricing.
"""

from typing import Final

from harness.core.pricing import (
    BYTES_PER_GB,
    EGRESS,
    EGRESS_SWITCH,
    Line,
    Price,
    Quota,
    Switch,
    Usage,
    charge,
)

ANSWER_BYTES: Final = 358
"""Assumed: 0.35 KB for a mean answer, most of which say that there is nothing new."""
FUNCTION_S: Final = 0.02
FUNCTION_GB: Final = 0.125

_GATEWAY = "aws.amazon.com/api-gateway/pricing"
_LAMBDA = "aws.amazon.com/lambda/pricing"
_CLOUDFRONT = "aws.amazon.com/cloudfront/pricing"

HTTP_API: Final = Price("HTTP API", 1.0, 1e6, "requests", _GATEWAY, tiers=((300e6, 0.9),))
LAMBDA_REQUEST: Final = Price("Lambda requests", 0.2, 1e6, "requests", _LAMBDA)
LAMBDA_TIME: Final = Price("Lambda time on x86", 0.0000166667, 1, "GB-second", _LAMBDA)
CLOUDFRONT: Final = Price("CloudFront", 0.0, 1e6, "requests", _CLOUDFRONT, tiers=((10e6, 1.0),))
S3_GET: Final = Price("S3 reads", 0.4, 1e6, "requests", "aws.amazon.com/s3/pricing")
PRICES: Final = (HTTP_API, LAMBDA_REQUEST, LAMBDA_TIME, CLOUDFRONT, S3_GET)

QUOTAS: Final = (
    Quota(
        "requests",
        10_000,
        "a second and account",
        True,
        "docs.aws.amazon.com/apigateway/latest/developerguide/limits.html",
        bounds="polls_per_s",
    ),
)

THROUGH_HTTP_API: Final = Switch("http-api", "Do polls go through an HTTP API?", True)
THROUGH_LAMBDA: Final = Switch("poll-lambda", "Does a Lambda function answer each poll?", False)
THROUGH_CLOUDFRONT: Final = Switch("cloudfront", "Do polls go through CloudFront too?", False)
FROM_S3: Final = Switch("s3", "Do polls read a file in S3 too?", False)


def bill(usage: Usage) -> tuple[Line, ...]:
    """Return the lines of the bill for a use of polling, publishes not included."""
    polls = usage.polls
    gb_s, traffic_gb = polls * FUNCTION_S * FUNCTION_GB, polls * ANSWER_BYTES / BYTES_PER_GB
    words = "users × seconds ÷ interval"
    seconds = "polls × 20 ms × 128 MB"
    return (
        charge("polls", words, polls, HTTP_API, usage, THROUGH_HTTP_API),
        charge("poll_calls", words, polls, LAMBDA_REQUEST, usage, THROUGH_LAMBDA),
        charge("poll_time", seconds, gb_s, LAMBDA_TIME, usage, THROUGH_LAMBDA),
        charge("polls_cloudfront", words, polls, CLOUDFRONT, usage, THROUGH_CLOUDFRONT),
        charge("polls_s3", words, polls, S3_GET, usage, FROM_S3),
        charge("poll_traffic", "polls × 0.35 KB", traffic_gb, EGRESS, usage, EGRESS_SWITCH),
    )
