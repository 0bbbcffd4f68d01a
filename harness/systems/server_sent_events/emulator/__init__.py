"""The emulator of a service of server-sent events."""
