"""The state of a run in progress: the page, Prometheus and OpenTelemetry show the same figures."""
