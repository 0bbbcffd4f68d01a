"""A toy system: one JSON object a WebSocket message, and no more than a chat needs."""
