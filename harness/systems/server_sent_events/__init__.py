"""Server-sent events: one long HTTP response a subscriber, publishing by POST."""
