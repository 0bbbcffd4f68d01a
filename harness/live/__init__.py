"""A run as it goes: the page, Prometheus and OpenTelemetry all show the same account of it."""
