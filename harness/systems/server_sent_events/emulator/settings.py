"""What a user of the emulator pastes: a first publish. An EventSource needs but the address."""

from pathlib import Path


def try_it(http_url: str, api_key: str, ca_file: Path | None) -> str:
    """Return a shell command that publishes one event to a running emulator."""
    trust = f" --cacert {ca_file}" if ca_file else ""
    token = f" -H 'Authorization: Bearer {api_key}'" if api_key else ""
    return f"curl{trust}{token} -d hello {http_url.replace('{channel}', 'default/room-0')}"
