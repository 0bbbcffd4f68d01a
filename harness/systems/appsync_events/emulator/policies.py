"""What an IAM user may do: statements over actions and resources, as IAM evaluates them.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic and
docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth, read November 2026: nothing
is allowed by itself, and a deny wins over any allow. Names of actions have no case.
"""

import re
from collections.abc import Sequence
from functools import cache

from harness.systems.appsync_events.options import Options, Statement

CONNECT = "appsync:EventConnect"
SUBSCRIBE = "appsync:EventSubscribe"
PUBLISH = "appsync:EventPublish"


def resource_arn(options: Options, namespace: str) -> str:
    """Return what a subscribe or publish is done to; with no namespace, a connect."""
    api = f"arn:aws:appsync:{options.region}:{options.account_id}:apis/{options.api_id}"
    return f"{api}/channelNamespace/{namespace}" if namespace else api


def allows(statements: Sequence[Statement], action: str, resource: str) -> bool:
    """Say whether these statements let an action be done to a resource."""
    effects = {
        statement.effect
        for statement in statements
        if any(_pattern(text, re.IGNORECASE).fullmatch(action) for text in statement.actions)
        and any(_pattern(text, re.NOFLAG).fullmatch(resource) for text in statement.resources)
    }
    return effects == {"allow"}


@cache
def _pattern(text: str, flags: re.RegexFlag) -> re.Pattern[str]:
    """Return what a text with wildcards matches: ``*`` any characters, ``?`` any one."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), flags | re.DOTALL)
