"""Finds every installed system with an emulator, and drives its real client against it."""

import json
import time

from harness.core.message_token import MessageToken, MessageWriter
from harness.core.system import installed_systems, system_named
from harness.load.master.emulator_process import EmulatorControls, EmulatorProcess
from harness.net.addresses import tls_context
from harness.net.client import Access
from harness.scenario.loading import load_emulated_target
from harness.scenario.target import api_key, client_model
from tests.support import listeners
from tests.support.listeners import wait_for
from tests.support.waiting import PATIENCE_S

TARGET = """
name = "{system}-emulated"
system = "{system}"
emulated = true
"""
MESSAGE = MessageWriter("conformance").write(MessageToken(0, 0, 0, 0)).decode()
BUFFER_BYTES = 256 * 1024
OFTEN_S = 0.05
"""Between two questions of clients that ask at intervals, so that the tests are soon over."""


def emulated_systems():
    """Return the names of the installed systems that can be played on this machine."""
    return [name for name, system in installed_systems().items() if system.emulator]


def encoded(event):
    """Return an event as it is published: a message, and beside it what is said."""
    return json.dumps({"text": MESSAGE, "said": event}).encode()


def said_in(payload):
    """Return what is said in an event, or in the event that a frame holds."""
    body = json.loads(payload)
    return body["said"] if "said" in body else said_in(body["event"])


class Listener(listeners.Listener):
    """A listener that hears what is said."""

    def event(self, payload, kernel_ns):
        super().event(payload, kernel_ns)
        self.heard[-1] = said_in(payload)
        return self.heard[-1]


class User:
    """One user of the system, with the client that a run would give it."""

    def __init__(self, api, channels, memo, listener):
        self.listener = listener
        self.client = api.client(channels, memo, self.listener)
        self._publishes = 0

    @property
    def heard(self):
        """The events that came, in order."""
        return self.listener.heard

    def join(self):
        """Connect and subscribe; return when each stage ended."""
        self.times = self.client.join(time.monotonic() + PATIENCE_S)
        return self.times

    def send(self, channel, *events):
        """Publish events in one publish; return its id."""
        self._publishes += 1
        publish_id = f"p{self._publishes}"
        self.client.publish(publish_id, channel, [encoded(event) for event in events])
        return publish_id

    def publish(self, channel, *events):
        """Publish events, wait for the system's answer and return it."""
        publish_id = self.send(channel, *events)
        listener = self.listener

        def answers():
            return [found for found in listener.answers if found.publish_id == publish_id]

        wait_for(lambda: answers() or listener.ends, "a publish's answer")
        return answers()[0]

    def wait_until_heard(self, event):
        """Wait for an event to come; what was sent before it has then come, or never will."""
        wait_for(lambda: event in self.heard, f"{event!r} among {self.heard[-3:]}")


class Counts(dict[str, float]):
    """What an emulator counted, by dotted name."""

    def total(self, name):
        """Return a count; one made of several emulators has it in a table of each."""
        return sum(value for key, value in self.items() if f".{key}".endswith(f".{name}"))


class Stand:
    """A running emulator of one system, and the users who are on it."""

    def __init__(self, system, folder, *overrides):
        file = folder / "target.toml"
        file.write_text(TARGET.format(system=system), encoding="utf-8")
        told = [f"target.emulator.subscriber_buffer_bytes={BUFFER_BYTES}", *overrides]
        if "interval_s" in client_model(system).model_fields:
            told.append(f"target.client.interval_s={OFTEN_S}")
        self.system = system
        self.target = load_emulated_target(file, told)
        self._process = EmulatorProcess(str(file), self.target, folder / "emulator.log")
        self.endpoints = self._process.endpoints
        self._controls = EmulatorControls(self.endpoints)
        self._opened = []
        self._rooms = 0

    def room(self):
        """Return the path of a channel that nobody has used."""
        self._rooms += 1
        return f"/{self.target.channel_namespace}/room-{self._rooms}"

    def pair(self):
        """Return a room with a subscriber in it, and a chatter who does not listen."""
        room = self.room()
        return room, self.subscriber(room), self.chatter()

    def api(self, key=None):
        """Return the system as a worker uses it."""
        endpoints, options = self.endpoints, self.target.client or client_model(self.system)()
        made = system_named(self.system).load("client")(
            Access(
                realtime=endpoints.realtime,
                http=endpoints.http,
                api_key=api_key(self.target) if key is None else key,
                tls=tls_context(ca_file=endpoints.ca_file),
                options=options,
            )
        )
        self._opened.append(made.close)
        return made

    def subscriber(self, *channels, api=None, memo=None, listener=None):
        """Return a user of these channels who has joined and will only listen."""
        listener = listener or Listener("subscriber")
        return self._joined(channels, api, {} if memo is None else memo, listener)

    def chatter(self, *channels, api=None):
        """Return a user who has joined and may publish; it listens where it has channels."""
        return self._joined(channels, api, {}, Listener("chatter"))

    def _joined(self, channels, api, memo, listener):
        user = User(api or self.api(), channels, memo, listener)
        self._opened.append(user.client.drop)
        user.join()
        return user

    def stats(self):
        """Return what the emulator has counted since its start, by dotted name."""
        return Counts(_flat(self._controls.ground_truth()["stats"]))

    def counted_since(self, before):
        """Return by how much counts have grown."""
        return Counts((name, now - before.get(name, 0)) for name, now in self.stats().items())

    def play(self, *faults):
        """Have the emulator play these faults and no others."""
        self._controls.set_faults(list(faults))

    def clear(self):
        """Send everybody away and stop all faults."""
        for close in reversed(self._opened):
            close()
        self._opened.clear()
        self.play()

    def stop(self):
        """End the emulator."""
        self._process.stop()


def _flat(table, prefix=""):
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", value
