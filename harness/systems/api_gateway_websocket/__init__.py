"""API Gateway WebSocket API: what it costs."""
