"""Who holds a socket and who polls, and what the two cost together."""

import contextlib
import socket
from typing import Any

import pytest

from harness.core.pricing import Day, total_usd
from harness.net.client import Access
from harness.systems.appsync_events import economics as sockets
from harness.systems.appsync_events.client.api import AppSyncEventsClient
from harness.systems.hybrid import economics
from harness.systems.hybrid.client import HybridApi, beside
from harness.systems.hybrid.options import ClientOptions
from harness.systems.polling import economics as polls
from harness.systems.polling.client.poller import PollingClient
from harness.systems.polling.wire import Place


class Person:
    """A listener of a class; nothing is told to it here."""

    def __init__(self, user_class):
        self.user_class = user_class


@pytest.mark.parametrize(
    ("user_class", "kind"), [("subscriber", PollingClient), ("chatter", AppSyncEventsClient)]
)
def test_class_of_a_user_decides_how_it_listens(user_class, kind):
    """Viewers poll, chatters hold a socket."""
    access = Access(
        "ws://127.0.0.1:9/event/realtime", "http://127.0.0.1:9/event", "k", options=ClientOptions()
    )
    listener: Any = Person(user_class)
    with contextlib.closing(HybridApi(access)) as api:
        assert isinstance(api.client(["/default/room-0"], {}, listener), kind)


def test_polls_carry_no_key():
    """Viewers are anonymous, and their service is another's."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/rooms/{{channel}}"
        options = ClientOptions(poll_address=address)
        access = Access(
            "ws://127.0.0.1:9/event/realtime", "http://127.0.0.1:9/event", "k", options=options
        )
        with contextlib.closing(HybridApi(access)) as api:
            request = api._polls.request(("/default/room-0", "/default/a,b"), Place(), None)
    assert request.startswith(b"GET /rooms/default/room-0,default/a%2Cb HTTP/1.1\r\n")
    assert b"uthorization" not in request


def test_polls_go_beside_the_publishes_unless_told_otherwise():
    """As the emulator serves them."""
    assert "https://h:1/poll/{channel}" == beside("https://h:1/event")


def test_bill_is_the_sum_of_both():
    """5,000 of 30,000 on sockets and 25,000 polling cost what the two cost alone: $533.76."""
    together = total_usd(economics.bill(economics.usage_of(Day())))
    chatters = total_usd(sockets.bill(Day(connected=5_000).usage()))
    viewers = total_usd(polls.bill(Day(connected=25_000).usage()))
    assert chatters + viewers == pytest.approx(together)
    assert 533.76 == pytest.approx(together, abs=0.01)
