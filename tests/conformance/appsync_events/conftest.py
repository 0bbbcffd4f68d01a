"""The emulators that the conformance suite asks, and peers to ask them with."""

import contextlib
from pathlib import Path

import pytest

from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator
from harness.systems.appsync_events.options import Options
from tests.support.appsync_peers import API_KEY, connect

__all__ = ["connect"]

FOLDER = Path(__file__).parent
EXPIRED_KEY = "da2-expired"

ALL_MODES = ("api_key", "iam", "user_pool", "oidc", "lambda")
NAMESPACES = (
    "default",
    {"name": "second"},
    {"name": "signed", "publish_auth_modes": ["iam"], "subscribe_auth_modes": ["iam"]},
    {"name": "read-only", "publish_auth_modes": ["iam"], "subscribe_auth_modes": ["api_key"]},
    {"name": "handled", "code": str(FOLDER / "handlers.js")},
    {
        "name": "direct",
        "on_publish": f"{FOLDER}/direct_handlers.py:on_publish",
        "on_subscribe": f"{FOLDER}/direct_handlers.py:on_subscribe",
    },
)
USER = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "SECRET"}
SESSION_USER = {**USER, "access_key_id": "ASIDEXAMPLE", "session_token": "TOK"}
API_ARN = "arn:aws:appsync:us-east-1:000000000000:apis/local"
READER = {
    **USER,
    "access_key_id": "AKIDREADER",
    "statements": [
        {"actions": ["appsync:EventConnect"], "resources": [API_ARN]},
        {
            "actions": ["appsync:EventSubscribe"],
            "resources": [f"{API_ARN}/channelNamespace/default"],
        },
    ],
}
EVERYTHING = {
    "api_keys": ["da2-other", API_KEY, {"key": EXPIRED_KEY, "expires": "2020-01-01T00:00:00Z"}],
    "namespaces": NAMESPACES,
    "connection_auth_modes": ALL_MODES,
    "default_publish_auth_modes": ALL_MODES,
    "default_subscribe_auth_modes": ALL_MODES,
    "iam_users": [USER, SESSION_USER, READER],
    "lambda_authorizer": {"function": f"{FOLDER}/authorizer.py:authorize"},
}
"""An API that lets in every kind of client."""


@pytest.fixture(scope="session")
def started():
    """Start emulators with options of their own; they stop after the last test."""
    with contextlib.ExitStack() as running:
        emulators = {}

        def start_once(**options):
            key = repr(sorted(options.items()))
            if key not in emulators:
                chosen = Options.model_validate({"api_keys": [API_KEY], **options})
                emulators[key] = running.enter_context(AppSyncEventsEmulator.start(chosen))
            return emulators[key]

        yield start_once


@pytest.fixture(scope="session")
def emulator(started):
    """The emulator of most tests: every auth mode, nothing left behind in it."""
    return started(**EVERYTHING)


@pytest.fixture
def peer(connect, emulator):
    """One connection with an API key."""
    return connect(emulator)
