"""The client of a polled service."""
