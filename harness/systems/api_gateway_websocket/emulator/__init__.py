"""The emulator of the API Gateway WebSocket API."""
