"""Requests made with the standard library."""

import http.client
import json
import urllib.request
from urllib.parse import urlsplit

from tests.support.waiting import PATIENCE_S


def get_json(port, path):
    """Return the JSON that a server on loopback answers with."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())


def stats(emulator):
    """Return what an emulator has counted."""
    return get_json(emulator.port, "/_emulator/stats")


def publish_status(address, key, channel="/default/a", *, context=None):
    """Publish one event to AppSync Events; return the HTTP status."""
    parts = urlsplit(address)
    place = {"host": parts.hostname, "port": parts.port, "timeout": PATIENCE_S}
    connection = (
        http.client.HTTPSConnection(**place, context=context)
        if context
        else http.client.HTTPConnection(**place)
    )
    body = json.dumps({"channel": channel, "events": ["1"]})
    connection.request("POST", parts.path, body, {"x-api-key": key})
    status = connection.getresponse().status
    connection.close()
    return status
