from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme

from harness.cli.emulated_api import Api, describe, page, warning
from harness.scenario.loading import load_scenario
from harness.scenario.target import Target, api_key
from harness.systems.appsync_events.emulator.process import AppSyncEventsEmulator

IAM = {"access_key_id": "AKID", "secret_access_key": "never-shown", "session_token": "nor-this"}

PLAIN = """\
chat serves in 1 process; Ctrl-C stops it.
  publish    http://127.0.0.1:4000/event
  realtime   ws://127.0.0.1:4000/event/realtime
  API key    da2-emulator-local
  try it     curl -H 'x-api-key: da2-emulator-local' \
-d '{"channel":"/default/room-0","events":["{\\"hello\\":1}"]}' http://127.0.0.1:4000/event
  counts     http://127.0.0.1:4000/_emulator/stats

Amplify (JavaScript):

  // needs TLS, whatever the endpoint says: --set target.emulator.tls=true

As a target of the harness (TOML):

  # export EMULATOR_API_KEY=da2-emulator-local
  name = "running-emulator"
  system = "appsync-events"

  [endpoints]
  http = "http://127.0.0.1:4000/event"
  realtime = "ws://127.0.0.1:4000/event/realtime"

  [auth]
  api_key_env = "EMULATOR_API_KEY\""""


def api(**options):
    """An emulator with these options, as if it served on port 4000 in one process."""
    target = Target.model_validate(
        {"name": "chat", "system": "appsync-events", "emulated": True, "emulator": options}
    )
    processes = SimpleNamespace(port=4000, realtime_port=None, pids=[7], folder=Path("/folder"))
    return Api(Path("chat.toml"), target, AppSyncEventsEmulator, cast("Any", processes))


def page_of(**options):
    serving = api(**options)
    return page(serving, describe(serving))


def block(text, title):
    """Return the lines to paste below a title, without their indentation."""
    lines = text.partition(f"{title}")[2].partition(":\n\n")[2].split("\n\n")
    return "\n".join(line.removeprefix("  ") for line in lines[0].splitlines())


def test_page_says_where_it_serves_and_what_to_paste():
    """Addresses, key, a first publish, counts, and settings for clients."""
    assert PLAIN == page_of()


def test_page_over_tls_says_how_to_trust_the_certificate():
    """In three ways, with the file named in each, and how to do it only once."""
    text = page_of(tls=True)
    assert "\n  CA file    /folder/ca.pem\n" in text
    hint = "new at each start unless --set target.emulator.certificate_folder=DIR"
    assert f"To trust its certificate ({hint}):\n" in text
    lines = block(text, "To trust its certificate").splitlines()
    assert [
        "export NODE_EXTRA_CA_CERTS=/folder/ca.pem",
        "export SSL_CERT_FILE=/folder/ca.pem",
        "curl --cacert /folder/ca.pem …",
    ] == [line.partition("  #")[0] for line in lines]


def test_kept_certificate_is_named_where_it_is_kept(tmp_path):
    """Not in the folder that goes when the emulator does."""
    text = page_of(tls=True, certificate_folder=str(tmp_path))
    assert f"\n  CA file    {tmp_path}/ca.pem\n" in text
    assert "To trust its certificate (kept between starts):" in text
    assert "/folder/" not in text


def test_target_to_paste_is_a_target(monkeypatch, tmp_path):
    """The file is taken as it stands, and its key is read from the variable it names."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    text = page_of(tls=True, certificate_folder=str(tmp_path))
    lines = text.partition("As a target of the harness (TOML):")[2].splitlines()
    file = tmp_path / "target.toml"
    file.write_text("\n".join(line.removeprefix("  ") for line in lines), encoding="utf-8")
    monkeypatch.setenv("EMULATOR_API_KEY", "da2-emulator-local")
    target = cast("Target", load_scenario(file))
    assert "https://127.0.0.1:4000/event" == target.endpoints.http
    assert "wss://127.0.0.1:4000/event/realtime" == target.endpoints.realtime
    assert str(tmp_path / "ca.pem") == target.tls.ca_file
    assert "da2-emulator-local" == api_key(target)


@pytest.mark.parametrize("mode", ["api_key", "iam", "user_pool", "oidc", "lambda"])
def test_settings_for_amplify_hold_no_secret_but_the_first_api_key(mode):
    """Other secrets stand in the target file, and are read from the environment."""
    text = page_of(
        tls=True,
        connection_auth_modes=[mode],
        iam_users=[IAM],
        api_keys=["da2-first", "da2-second"],
        lambda_authorizer={"function": "a.py:b"},
    )
    pasted = block(text, "Amplify (JavaScript)")
    assert {"never-shown", "nor-this", "da2-second"} & set(text.split('"')) == set()
    assert "never-shown" not in text
    assert ("da2-first" in pasted) == (mode == "api_key")
    assert ("process.env.AWS_SECRET_ACCESS_KEY" in pasted) == (mode == "iam")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_there_is_no_warning_on_loopback(host):
    """Nobody else can connect."""
    assert "" == warning(api(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "chat.example.org"])
def test_warning_is_loud_where_others_can_connect(host):
    """The address, what strangers could do, and what keys are good for."""
    lines = warning(api(host=host)).splitlines()
    assert f"WARNING: chat listens on {host}, which is not loopback." == lines[0]
    assert lines[1].endswith("Without TLS its keys are sent in plain text.")
    assert "Without TLS" not in warning(api(host=host, tls=True))
    assert "Never use a key here that is valid for another system." == lines[2]


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("192.0.2.7", "192.0.2.7")],
)
def test_address_shown_is_one_that_clients_here_can_use(host, shown):
    """All addresses are no address to connect to, and those of version 6 have brackets."""
    assert f"http://{shown}:4000/event" == describe(api(host=host)).http


def test_processes_are_counted():
    """In words that fit the number."""
    several = api()._replace(
        processes=SimpleNamespace(port=1, realtime_port=None, pids=[7, 8], folder=Path("/f"))
    )
    assert page(several, describe(several)).startswith("chat serves in 2 processes; ")
