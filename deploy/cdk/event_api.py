"""The Event API: namespaces, auth modes, handlers, and who may use it.

Source: docs.aws.amazon.com/appsync/latest/eventapi and docs.aws.amazon.com/cdk/api/v2 on
``aws_appsync``, read November 2026.
"""

from dataclasses import dataclass

from aws_cdk import CfnOutput, Duration, Expiration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_secretsmanager as secretsmanager

from deploy.cdk.function import add_authorizer
from deploy.cdk.settings import AuthMode, Settings

KEY_NAME = "load"
API_KEY_ENV = "APPSYNC_API_KEY"
TOKEN_ENV = "APPSYNC_TOKEN"  # noqa: S105 - the name of a variable

MODES: dict[AuthMode, appsync.AppSyncAuthorizationType] = {
    "api_key": appsync.AppSyncAuthorizationType.API_KEY,
    "iam": appsync.AppSyncAuthorizationType.IAM,
    "cognito": appsync.AppSyncAuthorizationType.USER_POOL,
    "lambda": appsync.AppSyncAuthorizationType.LAMBDA,
}


@dataclass(frozen=True)
class EventApi:
    """The API with what others must know of it.

    Attributes:
        api: The API.
        namespaces: Its channel namespaces.
        secrets: What clients show, by the variable that a target names; the fleet gets them so.
    """

    api: appsync.EventApi
    namespaces: tuple[appsync.ChannelNamespace, ...]
    secrets: dict[str, secretsmanager.Secret]


def add_event_api(stack: Stack, settings: Settings) -> EventApi:
    """Add an Event API to a stack, with the outputs that a target file is made from."""
    modes = [MODES[mode] for mode in settings.auth_modes]
    secrets: dict[str, secretsmanager.Secret] = {}
    api = appsync.EventApi(
        stack,
        "Api",
        api_name=f"{settings.name}-events",
        authorization_config=appsync.EventApiAuthConfig(
            auth_providers=[
                _provider(stack, mode, settings, secrets) for mode in settings.auth_modes
            ],
            connection_auth_mode_types=modes,
            default_publish_auth_mode_types=modes,
            default_subscribe_auth_mode_types=modes,
        ),
    )
    code = None
    if settings.handlers:
        code = appsync.Code.from_inline(settings.handlers.read_text(encoding="utf-8"))
    namespaces = tuple(
        api.add_channel_namespace(namespace, code=code) for namespace in settings.namespaces
    )
    outputs = {
        "HttpHost": api.http_dns,
        "RealtimeHost": api.realtime_dns,
        "ApiId": api.api_id,
        "Region": stack.region,
        "Namespaces": ",".join(settings.namespaces),
        "AuthModes": ",".join(settings.auth_modes),
    }
    for name, value in outputs.items():
        CfnOutput(stack, name, value=value)
    if "api_key" in settings.auth_modes:
        secrets[API_KEY_ENV] = _kept_key(stack, api)
    return EventApi(api, namespaces, secrets)


def _kept_key(stack: Stack, api: appsync.EventApi) -> secretsmanager.Secret:
    """Keep the API key where tasks can be given it; no output and no template ever shows it."""
    return secretsmanager.Secret(
        stack,
        "ApiKeySecret",
        secret_string_value=SecretValue.resource_attribute(api.api_keys[KEY_NAME].attr_api_key),
        removal_policy=RemovalPolicy.DESTROY,
    )


def _provider(
    stack: Stack, mode: AuthMode, settings: Settings, secrets: dict[str, secretsmanager.Secret]
) -> appsync.AppSyncAuthProvider:
    """Return what checks one mode; the token of a Lambda authorizer goes into ``secrets``."""
    kind = MODES[mode]
    if mode == "api_key":
        expires = Expiration.after(Duration.days(settings.api_key_days))
        key = appsync.AppSyncApiKeyConfig(name=KEY_NAME, expires=expires)
        return appsync.AppSyncAuthProvider(authorization_type=kind, api_key_config=key)
    if mode == "cognito":
        pool = appsync.AppSyncCognitoConfig(user_pool=_add_user_pool(stack))
        return appsync.AppSyncAuthProvider(authorization_type=kind, cognito_config=pool)
    if mode == "lambda":
        function, secrets[TOKEN_ENV] = add_authorizer(stack, "authorize_events")
        authorizer = appsync.AppSyncLambdaAuthorizerConfig(
            handler=function, results_cache_ttl=Duration.hours(1)
        )
        return appsync.AppSyncAuthProvider(
            authorization_type=kind, lambda_authorizer_config=authorizer
        )
    return appsync.AppSyncAuthProvider(authorization_type=kind)


def _add_user_pool(stack: Stack) -> cognito.UserPool:
    """Add a pool without self-registration; an administrator creates the test users."""
    pool = cognito.UserPool(
        stack, "Users", self_sign_up_enabled=False, removal_policy=RemovalPolicy.DESTROY
    )
    client = pool.add_client(
        "Harness",
        auth_flows=cognito.AuthFlow(user_password=True, admin_user_password=True),
        disable_o_auth=True,
        prevent_user_existence_errors=True,
    )
    CfnOutput(stack, "UserPoolId", value=pool.user_pool_id)
    CfnOutput(stack, "UserPoolClientId", value=client.user_pool_client_id)
    return pool
