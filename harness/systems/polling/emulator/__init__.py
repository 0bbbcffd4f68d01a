"""The emulator of a polled service."""
