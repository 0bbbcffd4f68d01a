"""The target: which system, with no particular load."""

from copy import copy
from functools import lru_cache
from typing import Annotated, Any, Self, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from harness.core.errors import ScenarioError, did_you_mean
from harness.core.message_token import PLACE
from harness.core.outside_text import outside_text
from harness.core.proxy import proxy_for
from harness.core.secrets import PLACEHOLDER, missing_variable, secret_variable
from harness.core.system import (
    HOW_TO_ADD,
    WEBSOCKET_SCHEMES,
    Part,
    broken_registration,
    installed_systems,
    names_of,
    system_named,
)
from harness.scenario.auth import Auth, Variable, variables_in
from harness.scenario.client_options import ClientOptions
from harness.scenario.emulator import Emulator
from harness.scenario.model import FilePath, ScenarioModel, Segment, broken_rule
from harness.scenario.workload import Name

ModelT = TypeVar("ModelT", bound=ScenarioModel)


class Endpoints(ScenarioModel):
    """Addresses of a real system; must be given unless the target is emulated."""

    http: str = Field(
        description="Address for publishing over HTTP: https:// or http://. "
        "`${NAME}` is taken from the environment."
    )
    realtime: str = Field(
        description="Address that subscribers connect to: wss:// or ws://, or what the system "
        "speaks instead, such as https://. `${NAME}` as above; where the system needs it, "
        "`{channel}` stands for the channel's path, here and in http."
    )

    @field_validator("http")
    @classmethod
    def _http_address(cls, address: str) -> str:
        return _address(address, ("https", "http"))


class Tls(ScenarioModel):
    """How the system's certificate is checked, and which one clients present."""

    verify: bool = Field(
        default=True, description="Whether it must be valid; false only for tests."
    )
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of further authorities to trust, relative to this file."
    )
    client_certificate: FilePath | None = Field(
        default=None,
        description="PEM file of the certificate that clients present, with those between it and "
        "the authority; relative to this file. All users present the same.",
    )
    client_key: FilePath | None = Field(
        default=None,
        description="PEM file of its key, relative to this file. Left out, the key is in the file "
        "of the certificate.",
    )
    client_key_password_env: Variable | None = Field(
        default=None,
        description="Name of the environment variable that holds the password of the key.",
    )

    @model_validator(mode="after")
    def _key_has_a_certificate(self) -> Self:
        for key in ("client_key", "client_key_password_env"):
            if getattr(self, key) is not None and self.client_certificate is None:
                raise broken_rule(
                    "must not be given without client_certificate",
                    key=key,
                    hint="name the PEM file of the certificate in client_certificate",
                )
        return self


class Target(ScenarioModel):
    """A whole target file."""

    # What this validates is an instance of ``target_model`` of its system, so that ``emulator``
    # and ``client`` have the keys of that system's own.

    name: Name = Field(
        description="Lower-case letters, digits and hyphens; part of the record's folder name."
    )
    system: str = Field(
        description="Name of the system; `harness systems` lists the installed ones."
    )
    emulated: bool = Field(
        default=False, description="Whether the harness starts an emulator of it on this machine."
    )
    message: str = Field(
        default='{"text":"{message}"}',
        description="What a message looks like to the system: a plain text, a JSON object, a JSON "
        "string. `{message}` stands for what is filled in: letters and digits by which deliveries "
        "are recognised, wherever they stand in what arrives. Where the protocol needs JSON, other "
        "text is put in as a JSON string.",
    )
    chatters_owed_own: bool = Field(
        default=True,
        description="Whether the system sends a chatter that subscribes to a channel its own "
        "messages too. If false, they are not owed to it, and count as unexpected if they come.",
    )
    channel_namespace: Segment = Field(
        default="default", description="Channels are /<channel_namespace>/room-<n>."
    )
    source_addresses: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        strict=False,
        description="Local addresses that workers connect from, worker by worker; each has about "
        "28,000 ports. Left out, the system chooses, and on loopback each worker has its own.",
    )
    emulator: Emulator | None = Field(
        default=None,
        validate_default=True,
        description="Options of the emulator, where the target is emulated; may be left out.",
    )
    client: ClientOptions | None = Field(
        default=None, description="Options of the simulated clients; may be left out."
    )
    endpoints: Endpoints | None = Field(
        default=None,
        validate_default=True,
        description="Addresses of the system. Needed unless the target is emulated.",
    )
    auth: Auth = Field(
        default=Auth(), validate_default=True, description="How clients prove who they are."
    )
    tls: Tls = Field(default=Tls(), description="Certificates of the system and of clients.")

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_system(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if cls is Target and isinstance(data, dict):
            model = target_model(data.get("system"))
            if model is not Target:
                # Errors of the other model keep their places in the file.
                return cast("Self", model.model_validate(data))
        return handler(data)

    @field_validator("message")
    @classmethod
    def _has_one_place(cls, message: str) -> str:
        if message.count(PLACE) != 1:
            raise broken_rule(
                f"must contain {PLACE} exactly once", hint=f"for a plain chat text write {PLACE}"
            )
        return message

    @field_validator("system")
    @classmethod
    def _system_exists(cls, system: str) -> str:
        systems = installed_systems()
        if system in systems:
            return system
        rule = f"must be one of {names_of(systems)}"
        if broken := broken_registration(system):
            raise broken_rule(rule, hint=f"{broken}; reinstall or repair {broken.distribution}")
        raise broken_rule(rule, hint=did_you_mean(system, systems) or HOW_TO_ADD)

    @field_validator("emulator")
    @classmethod
    def _emulator_fits(cls, emulator: Emulator | None, info: ValidationInfo) -> Emulator | None:
        emulated = info.data.get("emulated")
        if emulated is False and emulator is not None:
            raise broken_rule(
                "must not be given unless emulated = true",
                hint="remove [emulator], or set emulated = true",
            )
        if not emulated:
            return emulator
        system = installed_systems().get(info.data.get("system", ""))
        if system and not system.emulator:
            raise broken_rule(
                "must not be asked for: this system has no emulator",
                hint="write [endpoints] of a real one, and leave emulated out",
            )
        emulator = emulator or emulator_model(info.data.get("system"))()
        namespace = info.data.get("channel_namespace")
        if namespace is not None:
            emulator.require_namespace(namespace)
        return emulator

    @field_validator("client")
    @classmethod
    def _client_fits(
        cls, client: ClientOptions | None, info: ValidationInfo
    ) -> ClientOptions | None:
        if client is not None and info.data.get("emulated"):
            client.require_emulated()
        if client is not None and "message" in info.data:
            client.require_message(info.data["message"])
        return client

    @field_validator("endpoints")
    @classmethod
    def _endpoints_fit(cls, endpoints: Endpoints | None, info: ValidationInfo) -> Endpoints | None:
        emulated = info.data.get("emulated")
        if emulated is False and endpoints is None:
            raise broken_rule(
                "must be given unless emulated = true",
                hint="write [endpoints] with http and realtime, or set emulated = true",
            )
        if emulated and endpoints is not None:
            raise broken_rule(
                "must not be given where emulated = true",
                hint="the emulator chooses its own addresses; remove [endpoints]",
            )
        if endpoints is not None:
            system = installed_systems().get(info.data.get("system", ""))
            schemes = system.realtime_schemes if system else WEBSOCKET_SCHEMES
            _address(endpoints.realtime, schemes, key="realtime")
        return endpoints

    @field_validator("auth")
    @classmethod
    def _auth_names_a_variable(cls, auth: Auth, info: ValidationInfo) -> Auth:
        needed = info.data.get("emulated") is False and auth.mode == "api_key"
        if needed and auth.api_key_env is None:
            raise broken_rule(
                "must be given unless emulated = true",
                key="api_key_env",
                hint="name the environment variable that holds the API key, never the key itself",
            )
        return auth


def emulator_model(system: object) -> type[Emulator]:
    """Return the model of a system's ``[emulator]`` table: its own, or else the common one."""
    return _model_of(system, "emulator_options", Emulator)


def client_model(system: object) -> type[ClientOptions]:
    """Return the model of a system's ``[client]`` table: its own, or else the common one."""
    return _model_of(system, "client_options", ClientOptions)


def auth_model(system: object) -> type[Auth]:
    """Return the model of a system's ``[auth]`` table: its own, or else the common one."""
    return _model_of(system, "auth", Auth)


def _model_of(system: object, part: Part, default: type[ModelT]) -> type[ModelT]:
    known = installed_systems().get(system) if isinstance(system, str) else None
    return (known and known.load(part)) or default


def client_options(target: Target) -> ClientOptions:
    """Return what a target says of its clients, or its system's defaults."""
    return target.client or client_model(target.system)()


def most_subscriptions(target: Target) -> int:
    """Return how many channels a client of a target can subscribe to on one connection.

    One, unless the system says otherwise; its target may say that it is one all the same.
    """
    most = system_named(target.system).most_subscriptions
    return client_options(target).most_subscriptions(most)


def has_wildcards(target: Target) -> bool:
    """Say whether one subscription can stand for all channels; no, unless the system says so.

    Where that is left to the service, the target of one that runs elsewhere has to say it too.
    """
    known = system_named(target.system).wildcards
    return known and (target.emulated or client_options(target).knows_wildcards())


def target_model(system: object) -> type[Target]:
    """Return the model of this system's targets: ``Target`` with the keys of its own tables."""
    return _target_with(emulator_model(system), client_model(system), auth_model(system))


@lru_cache
def _target_with(
    emulator: type[Emulator], client: type[ClientOptions], auth: type[Auth]
) -> type[Target]:
    if (emulator, client, auth) == (Emulator, ClientOptions, Auth):
        return Target
    types = {"emulator": emulator | None, "client": client | None, "auth": auth}
    fields: Any = {name: (kind, copy(Target.model_fields[name])) for name, kind in types.items()}
    fields["auth"][1].default = auth()
    return create_model("Target", __base__=Target, __doc__=Target.__doc__, **fields)


def api_key(target: Target) -> str:
    """Return the API key clients present, read from the environment now; "" in other modes.

    Raises:
        ScenarioError: If the variable that the target names is not set, or holds control
            characters.
    """
    name = target.auth.api_key_env
    if target.auth.mode not in ("api_key", "none"):
        return ""
    if name is None:
        return target.emulator.client_key if target.emulator else ""
    key = secret_variable(name)
    if not key:
        raise ScenarioError([missing_variable(target.name, "auth.api_key_env", name)])
    return key


def variables_of(target: Target) -> tuple[str, ...]:
    """Return the names of the environment variables a target needs, in the file's order."""
    endpoints = target.endpoints
    texts = [endpoints.http, endpoints.realtime] if endpoints else []
    client = target.client.model_dump() if target.client else {}
    texts += [value for value in client.values() if isinstance(value, str)]
    names = [name for text in texts for name in PLACEHOLDER.findall(text)]
    for table in (client, target.auth.model_dump(), target.tls.model_dump()):
        names += [name for _, name in variables_in(table)]
    return tuple(dict.fromkeys(names))


def addresses_of(target: Target) -> tuple[str, ...]:
    """Return all addresses that a target's clients connect to; none of an emulator's own."""
    endpoints = target.endpoints
    further = target.client.further_addresses() if target.client else ()
    return ((endpoints.realtime, endpoints.http) if endpoints else ()) + further


def proxies_of(target: Target) -> tuple[str, ...]:
    """Return host and port of the proxies in the environment through which a target is reached.

    Addresses whose variables are not replaced yet are left out.

    Raises:
        ScenarioError: If a proxy is of another kind than those supported.
    """
    known = [address for address in addresses_of(target) if not PLACEHOLDER.search(address)]
    return tuple(dict.fromkeys(str(proxy) for each in known if (proxy := proxy_for(each))))


def _address(address: str, schemes: tuple[str, str], *, key: str = "") -> str:
    try:
        parts = urlsplit(PLACEHOLDER.sub("placeholder", address))
        complete = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete and not address.startswith("${"):
        raise broken_rule(
            f"must be an address that starts with {schemes[0]}:// or {schemes[1]}://",
            hint=f"{_fault(address, schemes)}; for example {schemes[0]}://example.org/event",
            key=key,
        )
    return address


def _fault(address: str, schemes: tuple[str, str]) -> str:
    """Return what is wrong with an address whose value may be hidden."""
    scheme, mark, _ = address.partition("://")
    if not mark:
        return "it has no ://"
    if scheme not in schemes:
        return f"it starts with {outside_text(scheme, 20)}://"
    return "its host or port is not valid"
