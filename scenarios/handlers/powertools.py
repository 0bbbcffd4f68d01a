"""A direct Lambda integration with Powertools for AWS Lambda; needs ``aws-lambda-powertools``."""

from typing import Any

from aws_lambda_powertools.event_handler import AppSyncEventsResolver
from aws_lambda_powertools.event_handler.events_appsync.exceptions import UnauthorizedException

app = AppSyncEventsResolver()


@app.on_publish("/default/*")
def counted(payload: dict[str, Any]) -> dict[str, Any]:
    """Add the length of the text; a text that is missing fails this one event."""
    return {**payload, "length": len(payload["text"])}


@app.on_publish("/default/together", aggregate=True)
def last_only(payload: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep the last event of a batch."""
    return payload[-1:]


@app.on_publish("/default/closed", aggregate=True)
def closed(payload: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: ARG001 - Passed by name.
    """Refuse every publish."""
    raise UnauthorizedException


@app.on_subscribe("/default/*")
def welcome() -> None:
    """Allow every subscriber."""


@app.on_subscribe("/default/closed")
def keep_out() -> None:
    """Refuse every subscribe."""
    raise UnauthorizedException


def handler(event: dict[str, Any], context: Any) -> Any:
    """Be the Lambda function."""
    return app.resolve(event, context)
