"""The client of a service of server-sent events."""
