"""The handlers of one namespace without an emulator around them."""

import asyncio
import json

import uvloop

from harness.systems.appsync_events.emulator.access import Identity
from harness.systems.appsync_events.handlers.handlers import (
    Context,
    Handlers,
    Incoming,
)
from harness.systems.appsync_events.handlers.rules import handler_refusal
from harness.systems.appsync_events.operations import Refusal
from harness.systems.appsync_events.options import Options
from harness.systems.appsync_events.wire import WireError
from tests.support.paths import SCENARIOS
from tests.support.waiting import PATIENCE_S

EXAMPLES = SCENARIOS / "handlers"
NOBODY = Identity("api_key", None)
SENTENCE = "There was an error processing the operation."
FAILED = handler_refusal(WireError("MessageProcessingError", SENTENCE), 500)
FOREVER = "const many = new Array(1000000).fill(1); many.forEach(() => many.forEach(f))"
"""JavaScript that never ends, given a function `f`."""


class Stand:
    """The handlers of the namespace ``default``, on the loop that emulators use."""

    def __init__(self, **namespace):
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._options = Options.model_validate({"namespaces": [{"name": "default", **namespace}]})
        self.handlers = self._run(self._made())

    async def _made(self):
        return Handlers(self._options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handlers.close()
        self._runner.close()

    def _run(self, main):
        return self._runner.run(asyncio.wait_for(main, PATIENCE_S))

    def context(self, channel="default/room", identity=NOBODY, headers=None, domain=""):
        """Return the context of a request."""
        namespace = self._options.namespaces[0]
        return Context(namespace, tuple(channel.split("/")), identity, headers or {}, domain)

    def together(self, main):
        """Run a coroutine function that takes the stand."""
        return self._run(main(self))

    def publish(self, *payloads, **context):
        """Publish values as JSON; return the outcome."""
        return self.publish_texts(*map(json.dumps, payloads), **context)

    def publish_texts(self, *texts, **context):
        """Publish JSON texts, whose ids are "0", "1" and so on; return the outcome."""
        return self._run(self.publishing(*texts, **context))

    def publishing(self, *texts, **context):
        """Return what publishes JSON texts, to be awaited."""
        events = [Incoming(str(index), text) for index, text in enumerate(texts)]
        return self.handlers.on_publish(self.context(**context), events)

    def broadcast(self, *payloads, **context):
        """Publish values and return those that are broadcast, of which none may fail."""
        outcome = self.publish(*payloads, **context)
        assert not isinstance(outcome, Refusal), outcome
        assert {} == outcome.failed
        return [json.loads(text) for _, text in outcome.broadcast]

    def subscribe(self, **context):
        """Subscribe; return the refusal, or None."""
        return self._run(self.handlers.on_subscribe(self.context(**context)))
