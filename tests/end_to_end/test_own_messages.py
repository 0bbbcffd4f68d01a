"""A service that does not send a chatter its own messages, and a target that says so."""

import json
import threading
from dataclasses import dataclass
from functools import partial

from harness.core.exit_codes import ExitCode
from tests.support.runs import SHORT, Outcome, after
from tests.support.servers import serving_websockets

SUBSCRIBERS, CHATTERS = 3, 4
FEW = {
    "population.subscribers": SUBSCRIBERS,
    "population.chatters": CHATTERS,
    "population.chatters_subscribe": "true",
    "joins.rate_per_s": 20.0,
    "phases.settle_s": 5.0,
    "slos": "[]",
}


class Room:
    """Takes joins and messages, and sends each message to everyone, or everyone else.

    Attributes:
        to_others: Messages sent to others than their sender.
        to_senders: Messages sent back.
    """

    def __init__(self, *, echoes):
        self._echoes = echoes
        self._members = []
        self._lock = threading.Lock()
        self.to_others = self.to_senders = 0

    def serve(self, connection):
        for text in connection:
            frame = json.loads(text)
            with self._lock:
                if frame["action"] == "join":
                    self._members.append(connection)
                else:
                    self._send(frame["data"], connection)
                connection.send(json.dumps({"id": frame["id"]}))

    def _send(self, data, sender):
        for member in self._members:
            if member is not sender:
                member.send(json.dumps(data))
                self.to_others += 1
            elif self._echoes:
                member.send(json.dumps(data))
                self.to_senders += 1


@dataclass(frozen=True)
class Served(Outcome):
    """How a run ended, and what the room sent."""

    room: Room


def run(launcher, *, echoes):
    """Run a few users, on two workers."""
    room = Room(echoes=echoes)
    with serving_websockets(room.serve) as port:
        target = launcher.new_folder() / "target.toml"
        target.write_text(
            'name = "room"\nsystem = "api-gateway-websocket"\nchatters_owed_own = false\n'
            f'[endpoints]\nhttp = "http://127.0.0.1:{port}"\nrealtime = "ws://127.0.0.1:{port}"\n'
            '[auth]\nmode = "none"\n',
            "utf-8",
        )
        outcome = launcher.run(SHORT | FEW, "--workers", "2", target=target).outcome()
    return Served(**vars(outcome), room=room)


def figures(outcome):
    """Return owed, delivered, lost and unexpected, by message and by connection alike."""
    names = ["owed", "delivered", "lost", "unexpected"]
    sums = [outcome.table(table)[names].sum().tolist() for table in ("messages", "connections")]
    assert sums[0] == sums[1], outcome.said
    return sums[0]


@after(partial(run, echoes=False))
def test_message_that_does_not_come_back_is_not_lost(outcome):
    """Each message is owed to everyone but its sender, and arrives there."""
    assert ExitCode.PASS == outcome.exit_code, outcome.said
    messages, room = outcome.table("messages"), outcome.room
    owed = len(messages) * (SUBSCRIBERS + CHATTERS - 1)
    assert [owed, owed, 0, 0] == figures(outcome)
    assert (owed, 0) == (room.to_others, room.to_senders)
    assert set(range(CHATTERS)) == set(messages["chatter"])


@after(partial(run, echoes=True))
def test_message_that_comes_back_all_the_same_is_unexpected(outcome):
    """It is never one of the deliveries that were owed."""
    messages, room = outcome.table("messages"), outcome.room
    assert [room.to_others, room.to_others, 0, len(messages)] == figures(outcome)
    assert len(messages) == room.to_senders
