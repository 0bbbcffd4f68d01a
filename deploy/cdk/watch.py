"""Dashboards for a running test, and alerts on its cost.

Source of the metrics: docs.aws.amazon.com/appsync/latest/eventapi/cw-metrics and
docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging; of budgets:
docs.aws.amazon.com/cost-management, "Managing your costs with AWS Budgets". Read November 2026.
"""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions

from deploy.cdk.event_api import EventApi
from deploy.cdk.settings import Settings
from harness.systems.appsync_events.economics import OPERATION

ALARM_PERIOD_MINUTES = 5
PERIODS_AN_HOUR = 60 / ALARM_PERIOD_MINUTES

HTTP_METRICS = ("Requests", "4XXError", "5XXError")
EVENT_METRICS = {
    "Connections": ("ActiveConnections", "ActiveSubscriptions"),
    "Joins": ("ConnectSuccess", "SubscribeSuccess"),
    "Refused joins": (
        "ConnectClientError",
        "ConnectServerError",
        "SubscribeClientError",
        "SubscribeServerError",
    ),
    "Deliveries, 5 KB each": ("InboundMessages", "OutboundMessages"),
    "Events not delivered": (
        "BroadcastEventClientError",
        "BroadcastEventServerError",
        "InboundMessageDelayed",
        "InboundMessageDropped",
    ),
    "Handlers": ("PublishedHandlerInvocations", "DroppedEvents", "FailedEvents"),
}
"""Picture -> metrics that come for each namespace."""

CHAT_METRICS = {
    "Connections": ("ConnectCount",),
    "Messages": ("MessageCount",),
    "Errors": ("IntegrationError", "ClientError", "ExecutionError"),
}


def add_event_dashboard(stack: Stack, settings: Settings, events: EventApi) -> None:
    """Add a dashboard of the Event API: joins, connections, deliveries, refusals, latency."""
    api = {"EventAPIId": events.api.api_id}
    http = [_metric("AWS/AppSync", name, api) for name in HTTP_METRICS]
    latency = _metric("AWS/AppSync", "Latency", api, statistic="p99")
    pictures = [_picture("Publishes over HTTP", http), _picture("Publish latency, p99", [latency])]
    for title, names in EVENT_METRICS.items():
        metrics = [
            _metric("AWS/AppSync", name, {**api, "ChannelNamespaceName": namespace})
            for namespace in settings.namespaces
            for name in names
        ]
        pictures.append(_picture(title, metrics))
    _add_dashboard(stack, f"{settings.name}-events", pictures)


def add_chat_dashboard(stack: Stack, settings: Settings, stage: apigateway.WebSocketStage) -> None:
    """Add a dashboard of the chat on API Gateway."""
    place = {"ApiId": stage.api.api_id, "Stage": stage.stage_name}
    pictures = [
        _picture(title, [_metric("AWS/ApiGateway", name, place) for name in names])
        for title, names in CHAT_METRICS.items()
    ]
    latency = _metric("AWS/ApiGateway", "IntegrationLatency", place, statistic="p99")
    pictures.append(_picture("Time of the functions, p99", [latency]))
    _add_dashboard(stack, f"{settings.name}-chat", pictures)


def _add_dashboard(stack: Stack, name: str, pictures: Sequence[cloudwatch.GraphWidget]) -> None:
    dashboard = cloudwatch.Dashboard(stack, "Dashboard", dashboard_name=name)
    for start in range(0, len(pictures), 2):
        dashboard.add_widgets(*pictures[start : start + 2])


def _picture(title: str, metrics: Sequence[cloudwatch.Metric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=12)


def _metric(
    namespace: str, name: str, dimensions: dict[str, str], *, statistic: str = "Sum"
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=Duration.minutes(1),
    )


def add_spending_alarms(stack: Stack, settings: Settings, events: EventApi) -> None:
    """Add a monthly budget, hours behind, and an alarm on deliveries, minutes behind.

    The alarm rings when five minutes of deliveries cost more than their share of ``hourly_usd``.
    """
    _add_budget(stack, settings)
    topic = sns.Topic(stack, "Spending")
    topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
    most = settings.hourly_usd / PERIODS_AN_HOUR * OPERATION.per / OPERATION.usd
    for namespace in settings.namespaces:
        alarm = cloudwatch.Alarm(
            stack,
            f"Deliveries-{namespace}",
            alarm_description=f"Deliveries cost more than ${settings.hourly_usd:g} an hour",
            metric=cloudwatch.Metric(
                namespace="AWS/AppSync",
                metric_name="OutboundMessages",
                dimensions_map={
                    "EventAPIId": events.api.api_id,
                    "ChannelNamespaceName": namespace,
                },
                statistic="Sum",
                period=Duration.minutes(ALARM_PERIOD_MINUTES),
            ),
            threshold=most,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(topic))


def _add_budget(stack: Stack, settings: Settings) -> None:
    """Add a budget of the whole account: 80% spent, or all of it forecast, sends a mail."""
    subscriber = budgets.CfnBudget.SubscriberProperty(
        subscription_type="EMAIL", address=settings.alarm_email
    )
    warnings = [
        budgets.CfnBudget.NotificationWithSubscribersProperty(
            notification=budgets.CfnBudget.NotificationProperty(
                notification_type=kind,
                comparison_operator="GREATER_THAN",
                threshold=percent,
                threshold_type="PERCENTAGE",
            ),
            subscribers=[subscriber],
        )
        for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
    ]
    budgets.CfnBudget(
        stack,
        "Budget",
        budget=budgets.CfnBudget.BudgetDataProperty(
            budget_name=f"{settings.name}-budget",
            budget_type="COST",
            time_unit="MONTHLY",
            budget_limit=budgets.CfnBudget.SpendProperty(amount=settings.budget_usd, unit="USD"),
        ),
        notifications_with_subscribers=warnings,
    )
