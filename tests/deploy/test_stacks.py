"""What the stacks hold, by CDK's assertions on the templates and by cfn-lint."""

import json
import re

from tests.deploy.conftest import lint, synthesised

KEPT = {"Retain", "Snapshot", "RetainExceptOnCreate"}
SECRETS = re.compile(r"da2-[a-z0-9]|AKIA[A-Z0-9]")


def resources(template, kind):
    return list(template.find_resources(kind).values())


def statements(template):
    """Return each statement of each policy that a template grants to a role."""
    return [
        statement
        for policy in resources(template, "AWS::IAM::Policy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def listed(value):
    return value if isinstance(value, list) else [value]


def container(template, family, name="harness"):
    tasks = template.find_resources("AWS::ECS::TaskDefinition")
    (task,) = [one for key, one in tasks.items() if key.startswith(family)]
    return next(one for one in task["Properties"]["ContainerDefinitions"] if one["Name"] == name)


def test_cfn_lint_finds_nothing(template_files):
    """An independent validator, with AWS's own resource schemas, takes all three templates."""
    # W3005 is a dependency that CDK writes although a reference implies it.
    assert (0, "") == lint("cfn-lint", "--ignore-checks", "W3005", "--", *template_files)


def test_cfn_lint_sees_a_planted_mistake(template_files, write):
    """A wrong property in a template is found, so finding nothing means something."""
    template = json.loads(template_files[0].read_text(encoding="utf-8"))
    (api,) = [one for one in template["Resources"].values() if one["Type"] == "AWS::AppSync::Api"]
    api["Properties"]["NameOfApi"] = "typing mistake"
    code, found = lint("cfn-lint", write("planted.json", json.dumps(template)))
    assert 0 != code
    assert "NameOfApi" in found


def test_event_api_takes_each_mode_for_each_operation(templates):
    """All four modes are providers, and connect, publish and subscribe take every one."""
    modes = ["API_KEY", "AWS_IAM", "AMAZON_COGNITO_USER_POOLS", "AWS_LAMBDA"]
    (api,) = resources(templates["events"], "AWS::AppSync::Api")
    config = api["Properties"]["EventConfig"]
    assert modes == [provider["AuthType"] for provider in config["AuthProviders"]]
    for operation in (
        "ConnectionAuthModes",
        "DefaultPublishAuthModes",
        "DefaultSubscribeAuthModes",
    ):
        assert modes == [mode["AuthType"] for mode in config[operation]]


def test_namespaces_carry_the_handlers(templates):
    """Each namespace asked for is there, and runs the file that was named."""
    namespaces = resources(templates["events"], "AWS::AppSync::ChannelNamespace")
    found = {one["Properties"]["Name"]: one["Properties"]["CodeHandlers"] for one in namespaces}
    assert {"default", "quiet"} == set(found)
    assert all("onPublish(ctx)" in code for code in found.values())


def test_defaults_make_a_plain_api():
    """With an address for alarms alone there is one namespace, an API key and no handler."""
    template = synthesised({"alarm_email": "owner@example.org"})["events"]
    template.resource_count_is("AWS::AppSync::ChannelNamespace", 1)
    template.resource_count_is("AWS::AppSync::ApiKey", 1)
    template.resource_count_is("AWS::Cognito::UserPool", 0)
    (namespace,) = resources(template, "AWS::AppSync::ChannelNamespace")
    assert "CodeHandlers" not in namespace["Properties"]


def test_nothing_outlives_its_stack(templates):
    """No resource is kept when its stack goes, and the bucket is emptied first."""
    assert [] == [
        (part, key)
        for part, template in templates.items()
        for key, one in template.to_json()["Resources"].items()
        if one.get("DeletionPolicy") in KEPT
    ]
    assert 1 == len(templates["fleet"].find_resources("Custom::S3AutoDeleteObjects"))
    logs = [
        one for template in templates.values() for one in resources(template, "AWS::Logs::LogGroup")
    ]
    assert logs
    assert {7} == {one["Properties"]["RetentionInDays"] for one in logs}


def test_stateful_resources_say_that_they_go(templates):
    """What CloudFormation or CDK would keep by default is marked for deletion by name."""
    for part, wanted in {
        "events": ["AWS::Cognito::UserPool", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"],
        "chat": ["AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"],
        "fleet": ["AWS::S3::Bucket", "AWS::Logs::LogGroup"],
    }.items():
        for kind in wanted:
            found = resources(templates[part], kind)
            assert found, kind
            assert {"Delete"} == {one["DeletionPolicy"] for one in found}, kind


def test_no_policy_allows_everything(templates):
    """No action is a star, and only signing in to the image registry has one for a place."""
    for template in templates.values():
        for statement in statements(template):
            actions = listed(statement["Action"])
            assert [] == [one for one in actions if one == "*" or one.endswith(":*")]
            if statement["Resource"] == "*":
                assert ["ecr:GetAuthorizationToken"] == actions


def test_chat_functions_may_do_one_thing_each(templates):
    """Connecting puts, disconnecting deletes, joining updates, sending reads and posts."""
    by_role = {}
    for key, policy in templates["chat"].find_resources("AWS::IAM::Policy").items():
        by_role[key.split("ServiceRole")[0]] = {
            action
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            for action in listed(statement["Action"])
        }
    assert {
        "Authorizer": {"secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"},
        "Connect": {"dynamodb:PutItem"},
        "Disconnect": {"dynamodb:DeleteItem"},
        "Join": {"dynamodb:UpdateItem"},
        "Send": {"dynamodb:Query", "dynamodb:DeleteItem", "execute-api:ManageConnections"},
    } == by_role


def test_chat_answers_those_who_join_and_send(templates):
    """The two routes that the harness waits on have a response; connecting needs the token."""
    chat = templates["chat"]
    chat.resource_count_is("AWS::ApiGatewayV2::RouteResponse", 2)
    routes = {
        one["Properties"]["RouteKey"]: one["Properties"]
        for one in resources(chat, "AWS::ApiGatewayV2::Route")
    }
    assert {"$connect", "$disconnect", "join", "sendmessage"} == set(routes)
    assert "CUSTOM" == routes["$connect"]["AuthorizationType"]


def test_fleet_raises_files_and_ports(templates):
    """Master and worker get the open files and the port range that the plan counts on."""
    for family in ("Master", "Worker"):
        harness = container(templates["fleet"], family)
        assert [{"Name": "nofile", "SoftLimit": 100_000, "HardLimit": 100_000}] == harness[
            "Ulimits"
        ]
        ports = {"Namespace": "net.ipv4.ip_local_port_range", "Value": "1024 65535"}
        assert [ports] == harness["SystemControls"]
        names = {one["Name"] for one in harness["Secrets"]}
        assert {"APPSYNC_API_KEY", "APPSYNC_TOKEN", "HARNESS_RUN_SECRET"} == names
        assert ["HARNESS_OWNED_TARGETS"] == [one["Name"] for one in harness["Environment"]]


def test_record_is_copied_after_the_run(templates):
    """The uploader starts when the harness has ended, whatever its exit code, and ends the task."""
    harness = container(templates["fleet"], "Master")
    uploader = container(templates["fleet"], "Master", "uploader")
    assert [{"Condition": "COMPLETE", "ContainerName": "harness"}] == uploader["DependsOn"]
    assert (False, True) == (harness["Essential"], uploader["Essential"])
    (ours,), (theirs,) = harness["MountPoints"], uploader["MountPoints"]
    assert ours["ContainerPath"] == theirs["ContainerPath"] == uploader["Command"][3]


def test_only_workers_reach_the_master(templates):
    """One rule lets something in, and it is the workers' group at Locust's port."""
    fleet = templates["fleet"]
    (rule,) = resources(fleet, "AWS::EC2::SecurityGroupIngress")
    properties = rule["Properties"]
    assert (5557, 5557) == (properties["FromPort"], properties["ToPort"])
    assert "WorkerGroup" in json.dumps(properties["SourceSecurityGroupId"])
    groups = resources(fleet, "AWS::EC2::SecurityGroup")
    assert [] == [one for one in groups if "SecurityGroupIngress" in one["Properties"]]


def test_network_has_no_gateway_that_costs_by_the_hour(templates):
    """Workers have public addresses of their own: no NAT gateway shares one among them."""
    templates["fleet"].resource_count_is("AWS::EC2::NatGateway", 0)


def test_alarm_is_the_price_of_five_minutes(templates):
    """$24 an hour at $1 a million deliveries is 2,000,000 of them in five minutes."""
    alarms = resources(templates["events"], "AWS::CloudWatch::Alarm")
    assert 2 == len(alarms)
    assert {2_000_000} == {one["Properties"]["Threshold"] for one in alarms}
    assert {300} == {one["Properties"]["Period"] for one in alarms}


def test_budget_mails_the_owner(templates):
    """The budget warns of what is spent and of what is forecast."""
    (budget,) = resources(templates["events"], "AWS::Budgets::Budget")
    warnings = budget["Properties"]["NotificationsWithSubscribers"]
    kinds = {one["Notification"]["NotificationType"]: one["Subscribers"] for one in warnings}
    assert {"ACTUAL", "FORECASTED"} == set(kinds)
    assert all("owner@example.org" == who[0]["Address"] for who in kinds.values())


def test_dashboards_show_the_documented_metrics(templates):
    """Each dashboard is there, and that of the events shows connections and deliveries."""
    for part in ("events", "chat"):
        templates[part].resource_count_is("AWS::CloudWatch::Dashboard", 1)
    body = json.dumps(resources(templates["events"], "AWS::CloudWatch::Dashboard"))
    for metric in ("ActiveConnections", "OutboundMessages", "InboundMessageDropped", "EventAPIId"):
        assert metric in body


def test_no_output_is_a_secret(templates):
    """Outputs name secrets by their ARN and never hold a value of one."""
    for template in templates.values():
        for output in template.to_json().get("Outputs", {}).values():
            value = json.dumps(output["Value"])
            assert "ApiKey" not in value.replace("ApiKeySecret", "")
            assert not SECRETS.search(value)
