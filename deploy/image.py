"""Facts about the image for the code that starts it."""

CONTAINERFILE = "Containerfile"

REPORTS = "/app/reports"
"""The folder it declares as a volume: only then may its user write there on Fargate.

Source: docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts, read November 2026.
"""
