"""A direct Lambda integration without a library: shouting is refused, whispering is made louder."""

from typing import Any


def on_publish(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return the events to broadcast, and an error for each that is not."""
    return {"events": [_judged(item["id"], item["payload"]) for item in event["events"]]}


def on_subscribe(event: dict[str, Any], _context: object) -> dict[str, str] | None:
    """Allow every subscriber, except in the room of the moderators."""
    if "moderators" in event["info"]["channel"]["segments"]:
        return {"error": "only for moderators"}
    return None


def _judged(event_id: str, payload: dict[str, Any]) -> dict[str, Any]:
    if payload["text"].isupper():
        return {"id": event_id, "error": "please do not shout"}
    return {"id": event_id, "payload": {**payload, "text": payload["text"].capitalize()}}
