"""What a target says about its clients, made ready for use: headers, and where envelopes are."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from harness.core.errors import ScenarioError, ScenarioProblem

_MARK = re.compile(rb"\{(envelope|envelope_text|channel)\}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``[client]`` table of one target, with the secrets that the environment holds.

    Attributes:
        headers: Further request headers, cookies included.
        event_types: Names of the events that carry messages; empty for all.
        envelope_path: Keys to the envelope in an event's data; empty where the data is it.
        publish_body: Template of a publish's body.
        publish_content_type: Its content type.
        stalled_after_s: Silence after which a client gives up; None for never.
        channel_separator: Stands in an address between the channels of one stream.
        stall_limit_s: Silence that counts as an error where no client gives up; None for none.
    """

    headers: Mapping[str, str]
    event_types: frozenset[str] = frozenset()
    envelope_path: tuple[str, ...] = ()
    publish_body: str = "{envelope}"
    publish_content_type: str = "application/json"
    stalled_after_s: float | None = None
    channel_separator: str = ","
    stall_limit_s: float | None = None

    def __repr__(self) -> str:
        return f"Settings({len(self.headers)} headers)"  # They hold secrets.

    def body(self, channel: str, envelope: bytes) -> bytes:
        """Return the body that publishes an envelope."""
        if self.publish_body == "{envelope}":
            return envelope
        values = {
            b"envelope": envelope,
            b"envelope_text": orjson.dumps(envelope.decode()),
            b"channel": orjson.dumps(channel),
        }
        return _MARK.sub(lambda mark: values[mark[1]], self.publish_body.encode())

    def envelope(self, event_type: str, data: str) -> str | None:
        """Return the envelope in an event as JSON; None where it holds none."""
        if self.event_types and event_type not in self.event_types:
            return None
        if not self.envelope_path:
            return data
        try:
            value = orjson.loads(data)
            for key in self.envelope_path:
                value = value[int(key)] if isinstance(value, list) else value[key]
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
            return None
        return value if isinstance(value, str) else orjson.dumps(value).decode()


def settings_of(options: Any, api_key: str) -> Settings:
    """Return the settings of a target, with secrets read from the environment now.

    Args:
        options: Its ``[client]`` table; None where it has none.
        api_key: Sent as a bearer token unless empty.

    Raises:
        ScenarioError: If a variable that the table names is not set.
    """
    bearer = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    if options is None:
        return Settings(bearer)
    cookies = {**options.cookies, **_secrets("cookies_env", options.cookies_env)}
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return Settings(
        headers={
            **bearer,
            **options.headers,
            **_secrets("headers_env", options.headers_env),
            **({"Cookie": cookie} if cookie else {}),
        },
        event_types=frozenset(options.event_types),
        envelope_path=tuple(options.envelope_path.split(".")) if options.envelope_path else (),
        publish_body=options.publish_body,
        publish_content_type=options.publish_content_type,
        stalled_after_s=options.stalled_after_s,
        channel_separator=options.channel_separator,
        stall_limit_s=options.stall_limit_s,
    )


def _secrets(key: str, variables: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in variables.values() if not os.environ.get(name)]
    if missing:
        raise ScenarioError(
            [
                ScenarioProblem(
                    file="target",
                    key=f"client.{key}",
                    found=f"{name}, which is not set",
                    rule="must name an environment variable that is set",
                    hint=f"export {name}=… before the run",
                )
                for name in missing
            ]
        )
    return {name: os.environ[variable] for name, variable in variables.items()}
