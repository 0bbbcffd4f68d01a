"""The Lambda authorizer of the suite: the token says what its bearer may do."""

import json

ANYTHING = {"EVENT_CONNECT", "EVENT_SUBSCRIBE", "EVENT_PUBLISH"}
ALLOWED = {
    "allowed": ANYTHING,
    "tell": ANYTHING,
    "read-only": {"EVENT_CONNECT", "EVENT_SUBSCRIBE"},
    "rooms-wildcard-only": {"EVENT_SUBSCRIBE"},
    "no-channel": {"EVENT_CONNECT"},
    "once": {"EVENT_SUBSCRIBE"},
    "once-uncached": {"EVENT_SUBSCRIBE"},
}
USED = set()


def authorize(event):
    """Let in whoever bears a known token, with what it was told for handlers to see."""
    token, context = event["authorizationToken"], event["requestContext"]
    is_allowed = context["operation"] in ALLOWED.get(token, set())
    if token == "rooms-wildcard-only":
        is_allowed = context["channel"] == "/default/rooms/*"
    if token == "no-channel":
        is_allowed = "channel" not in context and "channelNamespaceName" not in context
    if token.startswith("once"):
        is_allowed = token not in USED
        USED.add(token)
    answer: dict[str, object] = {"isAuthorized": is_allowed}
    if token == "tell":
        answer["handlerContext"] = {"event": json.dumps(event)}
    if token.endswith("uncached"):
        answer["ttlOverride"] = 0
    return answer
