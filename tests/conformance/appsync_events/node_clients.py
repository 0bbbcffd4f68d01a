"""Clients of others that run in Node.js, and how to talk to them from here."""

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.conformance.rows import ROOT
from tests.support.waiting import PATIENCE_S

FOLDER = Path(__file__).parent
INSTALLED = ROOT / ".conformance"
"""Where ``make clients`` installs the clients; git ignores it."""

PACKAGES = ("aws-amplify", "ob-appsync-events-request", "ws")


def missing():
    """Return why the clients cannot run; empty where they can."""
    if shutil.which("node") is None:
        return "node is not installed"
    absent = [name for name in PACKAGES if not (INSTALLED / "node_modules" / name).is_dir()]
    return f"{', '.join(absent)} not installed: make clients" if absent else ""


needs_node = pytest.mark.skipif(bool(missing()), reason=missing())


def script(name):
    """Return a script's path next to the packages it imports, where Node.js looks for them."""
    return shutil.copy(FOLDER / name, INSTALLED / name)


class AmplifyError(Exception):
    """Amplify refused or failed; the text is its own."""


class Amplify:
    """The real client in a process of its own, told to trust an authority."""

    def __init__(self, ca_file):
        self.process = subprocess.Popen(
            ["node", script("amplify.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(ca_file)},
        )
        self._answers = queue.Queue()
        self._heard = queue.Queue()
        self._number = 0
        self._options = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def stop(self):
        """End the process, politely by the end of its input, then by force."""
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            (self._answers if "answer" in message else self._heard).put(message)
        self._answers.put({"answer": "none: Amplify has ended"})

    def do(self, action, **arguments):
        """Do something with the client and return what it returns.

        Raises:
            AmplifyError: If its promise is rejected.
        """
        self._number += 1
        request = {"do": action, "number": self._number, "options": self._options, **arguments}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self._answers.get(timeout=PATIENCE_S)
        assert self._number == answer["answer"]
        if "error" in answer:
            raise AmplifyError(answer["error"])
        return answer["result"]

    def hear(self, kind):
        """Return the next event, error or state it reports, whichever is asked for."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self._heard.get(timeout=max(0.0, deadline - time.monotonic()))
            if message["heard"] == kind:
                return message

    def configure(self, emulator, mode, *, api_key=None, options=None, **auth):
        """Point the client at an emulator, with one auth mode for all it does.

        ``mode`` is Amplify's name of it, ``options`` are given to each of the client's calls, and
        ``auth`` is the ``credentials`` or the ``token`` of whoever is signed in.
        """
        api = {
            "endpoint": f"https://localhost:{emulator.port}/event",
            "region": "us-east-1",
            "defaultAuthMode": mode,
            "apiKey": api_key,
        }
        self._options = options or {}
        self.do("configure", api=api, auth=auth)

    def join(self, name, channel):
        """Connect to a channel and subscribe to it."""
        self.do("connect", name=name, channel=channel)
        self.do("subscribe", name=name)

    def next_event(self):
        return self.hear("event")["event"]
