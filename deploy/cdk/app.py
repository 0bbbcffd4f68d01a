"""The CDK app: ``cdk deploy`` in this folder runs it.

Three stacks, each deployed and removed on its own: NAME-events, NAME-chat, and NAME-fleet, which
loads the first.
"""

import sys

from aws_cdk import App, Stack, Tags

from deploy.cdk.chat_api import add_chat_api
from deploy.cdk.event_api import add_event_api
from deploy.cdk.fleet import add_fleet
from deploy.cdk.settings import Settings, read_settings
from deploy.cdk.watch import add_chat_dashboard, add_event_dashboard, add_spending_alarms
from harness.core.errors import HarnessError


def add_stacks(app: App, settings: Settings) -> dict[str, Stack]:
    """Add the three stacks to an app; return them by the last part of their names."""
    names = {
        "events": "An AppSync Event API, what it does and what it costs",
        "chat": "A chat on an API Gateway WebSocket API, to compare with",
        "fleet": "A Locust master and workers on Fargate",
    }
    stacks = {
        part: Stack(app, f"{settings.name}-{part}", description=description)
        for part, description in names.items()
    }
    Tags.of(app).add("fanout-harness", settings.name)
    events = add_event_api(stacks["events"], settings)
    add_event_dashboard(stacks["events"], settings, events)
    add_spending_alarms(stacks["events"], settings, events)
    add_chat_dashboard(stacks["chat"], settings, add_chat_api(stacks["chat"], settings))
    add_fleet(stacks["fleet"], settings, events)
    return stacks


def main() -> None:
    """Write the templates where the ``cdk`` command wants them."""
    app = App()
    try:
        settings = read_settings(app.node.get_all_context())
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    add_stacks(app, settings)
    app.synth()


if __name__ == "__main__":
    main()
