"""The CDK app: an Event API, a chat on API Gateway, and a fleet that loads them."""
