"""Polling: what it costs."""
