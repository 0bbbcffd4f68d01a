import pytest

from harness.systems.appsync_events.emulator.policies import allows, resource_arn
from harness.systems.appsync_events.options import Options, Statement

API = "arn:aws:appsync:eu-west-1:111122223333:apis/abc"
NAMESPACE = f"{API}/channelNamespace/chat"


def statement(effect="allow", actions="appsync:*", resources="*"):
    return Statement(effect=effect, actions=(actions,), resources=(resources,))


def test_resources_are_those_of_the_service():
    """The API stands for connects, a namespace for what is done in it."""
    options = Options(region="eu-west-1", account_id="111122223333", api_id="abc")
    assert API == resource_arn(options, "")
    assert NAMESPACE == resource_arn(options, "chat")


@pytest.mark.parametrize(
    ("expected", "statements"),
    [
        (False, []),
        (True, [statement()]),
        (True, [statement(actions="*")]),
        (True, [statement(actions="appsync:EventPublish", resources=NAMESPACE)]),
        (True, [statement(actions="APPSYNC:eventpublish")]),
        (True, [statement(actions="appsync:Event*", resources=f"{API}/*")]),
        (True, [statement(resources="arn:aws:appsync:*:*:apis/???/channelNamespace/c*t")]),
        (False, [statement(actions="appsync:EventSubscribe")]),
        (False, [statement(actions="appsync:Event")]),
        (False, [statement(resources=API)]),
        (False, [statement(resources=NAMESPACE.replace("chat", "Chat"))]),
        (False, [statement(resources=NAMESPACE.replace("chat", "c.at"))]),
        (False, [statement(), statement("deny", actions="appsync:EventPublish")]),
        (False, [statement("deny", resources=NAMESPACE), statement()]),
        (True, [statement(), statement("deny", resources=f"{API}/channelNamespace/other")]),
        (True, [statement(), statement("deny", actions="appsync:EventConnect")]),
    ],
)
def test_statements_are_evaluated_as_iam_does(expected, statements):
    """Nothing is allowed by itself, wildcards match, and a deny wins wherever it stands."""
    assert expected == allows(statements, "appsync:EventPublish", NAMESPACE)
