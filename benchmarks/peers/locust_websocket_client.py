"""A Locust user that listens through websocket-client, as published recipes do."""

import json
import os
import time

from locust import User, task
from websocket import create_connection


class Listener(User):
    """One connection, one greenlet; each message parsed and reported to Locust as a request."""

    @task
    def listen(self) -> None:
        """Subscribe, then receive for good."""
        socket = create_connection(
            os.environ["URL"], subprotocols=os.environ["SUBPROTOCOLS"].split(", ")
        )
        for text in json.loads(os.environ["TEXTS"]):
            socket.send(text)
        while True:
            message = socket.recv()
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
