"""The Lambda authorizer: a function of the user's own that judges opaque tokens.

Source: docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth, read November 2026.
That the function has 10 s is documented for the GraphQL APIs of AppSync. Whatever the function
does wrong refuses the caller and is logged.
"""

import hashlib
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.errors import HarnessError
from harness.systems.appsync_events.handlers.callables import CallFailedError, UserFunction
from harness.systems.appsync_events.options import LambdaAuthorizer, Options

Operation = Literal["EVENT_CONNECT", "EVENT_SUBSCRIBE", "EVENT_PUBLISH"]

TIMEOUT_S = 10.0
MAX_CONTEXT_BYTES = 5 * 1024 * 1024
MAX_CACHED = 10_000
"""Answers that one process keeps; the oldest goes first."""

LOGGER = logging.getLogger(__name__)


class Answer(BaseModel):
    """What the function answers; keys of other kinds of API are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    is_authorized: bool = Field(alias="isAuthorized")
    handler_context: dict[str, Any] | None = Field(default=None, alias="handlerContext")
    ttl_override_s: Annotated[float, Field(ge=0, le=3600)] | None = Field(
        default=None, alias="ttlOverride"
    )


class Question(NamedTuple):
    """What the function decides on.

    Attributes:
        namespace: Of the channel; empty for a connect.
        channel: Such as ``/default/*``; empty for a connect.
    """

    operation: Operation
    token: str
    namespace: str = ""
    channel: str = ""

    def __repr__(self) -> str:
        return f"Question({self.operation}, {self.channel!r})"


class Authorizer:
    """Asks the function, and remembers its answers; each process has its own memory.

    Args:
        clock: Returns the time in seconds, from any beginning.

    Raises:
        ScenarioError: If the function cannot be loaded.
    """

    def __init__(
        self,
        settings: LambdaAuthorizer,
        options: Options,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._options = options
        self._clock = clock
        self._function = UserFunction(settings.function, "lambda_authorizer.function")
        self._pattern = re.compile(settings.identity_validation or ".*", re.DOTALL)
        self._cache: dict[tuple[Operation, str, bytes], tuple[float, Answer]] = {}

    async def answer(self, question: Question, headers: Mapping[str, str]) -> Answer | None:
        """Return the answer of the function, or its last one while that is cached; None refuses."""
        if not self._pattern.fullmatch(question.token):
            return None
        # A digest, so that no token stays in memory, however long.
        digest = hashlib.sha256(question.token.encode(errors="replace")).digest()
        key = question.operation, question.channel, digest
        until_s, answer = self._cache.get(key, (0.0, None))
        if answer is not None and self._clock() < until_s:
            return answer
        try:
            answer = await self._ask(question, headers)
        except HarnessError as error:
            LOGGER.warning("%s; the caller is refused", error)
            return None
        self._remember(key, answer)
        return answer

    async def _ask(self, question: Question, headers: Mapping[str, str]) -> Answer:
        found = await self._function.call(self._event(question, headers), timeout_s=TIMEOUT_S)
        try:
            answer = Answer.model_validate(found)
            size_bytes = len(orjson.dumps(answer.handler_context))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "answer"
            raise self._wrong(f"{key}: {first['msg']}") from None
        except orjson.JSONEncodeError:
            raise self._wrong("a handlerContext that JSON cannot hold") from None
        if size_bytes > MAX_CONTEXT_BYTES:
            raise self._wrong(f"a handlerContext of {size_bytes} bytes")
        return answer

    def _wrong(self, found: str) -> CallFailedError:
        rule = "isAuthorized, handlerContext of at most 5 MB and ttlOverride of 0-3600 allowed"
        return CallFailedError(self._function.name, f"answered {found}", rule)

    def _event(self, question: Question, headers: Mapping[str, str]) -> dict[str, Any]:
        context = {
            "apiId": self._options.api_id,
            "accountId": self._options.account_id,
            "requestId": str(uuid.uuid4()),
            "operation": question.operation,
        }
        if question.channel:
            context["channelNamespaceName"] = question.namespace
            context["channel"] = question.channel
        return {
            "authorizationToken": question.token,
            "requestContext": context,
            "requestHeaders": {name.lower(): value for name, value in headers.items()},
        }

    def _remember(self, key: tuple[Operation, str, bytes], answer: Answer) -> None:
        given_s = answer.ttl_override_s
        ttl_s = self._settings.ttl_s if given_s is None else given_s
        self._cache.pop(key, None)
        if ttl_s > 0:
            if len(self._cache) >= MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = self._clock() + ttl_s, answer
