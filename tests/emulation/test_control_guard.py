"""Requests to the control paths of an emulator that another web page makes a browser send."""

import asyncio
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.core.own_requests import CONTROL_TOKEN_VARIABLE
from harness.emulation.control import Answer, Control
from harness.emulation.worker import WorkerContext

OWN = {"Host": "127.0.0.1:4000"}


def status(method, headers, listens_on="127.0.0.1"):
    """Return the status of a guarded request to an emulator."""

    async def answer(_body):
        return Answer(HTTPStatus.OK, b"{}")

    context = WorkerContext(Path(), settings={"host": listens_on})
    control = Control(SimpleNamespace(worker_context=context))
    return asyncio.run(control.guarded(answer, method, b"", headers)).status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.example.org:4000"},
        OWN | {"Origin": "https://evil.example.org"},
        OWN | {"origin": "null"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_hosts_and_origins_are_refused(headers, method, monkeypatch):
    """Faults, and counts too, are for this machine's own tools."""
    monkeypatch.delenv(CONTROL_TOKEN_VARIABLE, raising=False)

    assert status(method, headers) == HTTPStatus.FORBIDDEN


def test_changes_need_the_token_where_the_starter_gave_one(monkeypatch):
    """``harness run`` gives one; an emulator that is started by hand may go without."""
    monkeypatch.delenv(CONTROL_TOKEN_VARIABLE, raising=False)
    assert status("POST", OWN) == HTTPStatus.OK

    monkeypatch.setenv(CONTROL_TOKEN_VARIABLE, "the-token")
    assert status("GET", OWN) == HTTPStatus.OK
    assert status("POST", OWN) == HTTPStatus.FORBIDDEN
    assert status("POST", OWN | {"X-Harness-Token": "the-token"}) == HTTPStatus.OK
    assert (
        status("POST", {"Host": "emulator:4000", "X-Harness-Token": "the-token"}) == HTTPStatus.OK
    )


def test_name_that_the_emulator_listens_under_is_its_own(monkeypatch):
    """It prints its addresses with that name, so clients call it so."""
    monkeypatch.delenv(CONTROL_TOKEN_VARIABLE, raising=False)
    headers = {"Host": "emulator.test:4000"}

    assert status("POST", headers, listens_on="Emulator.test") == HTTPStatus.OK
    assert status("POST", headers) == HTTPStatus.FORBIDDEN
