"""AWS AppSync Events: publish and subscribe over WebSocket, publish over HTTP."""
