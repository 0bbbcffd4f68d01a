"""A Locust user that listens through ``websockets.sync``, as published recipes do."""

import json
import os
import time

from locust import User, task
from websockets.sync.client import connect
from websockets.typing import Subprotocol


class Listener(User):
    """One connection; each message parsed and reported to Locust as a request."""

    @task
    def listen(self) -> None:
        """Subscribe, then receive for good."""
        offered = [Subprotocol(value) for value in os.environ["SUBPROTOCOLS"].split(", ")]
        with connect(os.environ["URL"], subprotocols=offered) as socket:
            for text in json.loads(os.environ["TEXTS"]):
                socket.send(text)
            for message in socket:
                body = json.loads(message)
                if body["type"] == "data":
                    self.environment.events.request.fire(
                        request_type="WSR",
                        name="message",
                        response_time=time.time() * 1e3 - json.loads(body["event"])["i"] / 1e6,
                        response_length=len(message),
                        exception=None,
                        context={},
                    )
