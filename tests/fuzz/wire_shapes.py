"""What is thrown at the emulator: bytes, JSON of any shape, and messages that are nearly right."""

import base64
import json
import struct

from hypothesis import strategies as st

KEY = {"host": "localhost", "x-api-key": "da2-test"}
MARKER = "aws-appsync-event-ws"

TEXTS = st.text(max_size=40)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
"""NaN and infinity among them, which Python writes and JSON forbids."""

DEEP = st.sampled_from([64, 1000, 5000]).map(lambda depth: "[" * depth + "]" * depth)

CHANNELS = st.sampled_from(
    (
        *("/default/a", "default/a/", "/default/*", "/nowhere/a", "/default/a_b", "*"),
        *("/code/a", "/code/a/b/c/d", "/direct/a", "/direct/*"),
    )
) | st.text(alphabet="/abz09-*_ é\x00", max_size=60)

AUTHORIZATIONS = (
    st.just(KEY)
    | st.sampled_from([{"X-API-KEY": "da2-test"}, {"x-api-key": "da2-wrong"}, {}])
    | st.dictionaries(
        st.sampled_from(["host", "x-api-key", "Authorization", "authorization", "x-amz-date"])
        | TEXTS,
        TEXTS | JSON_VALUES,
        max_size=5,
    )
    | JSON_VALUES
)
AWS_AUTHORIZATION = st.builds(
    lambda parts: "AWS4-HMAC-SHA256 " + ", ".join(parts),
    st.lists(
        st.sampled_from(
            [
                "Credential=AKID/20261123/us-east-1/appsync/aws4_request",
                "Credential=AKID/20261123/us-east-1/appsync/aws4_request, "
                "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
                "Credential=AKID",
                "SignedHeaders=host;x-amz-date",
                "SignedHeaders=;",
                "Signature=00",
                "Signature=",
            ]
        )
        | TEXTS,
        max_size=5,
    ),
)
TOKENS = (
    TEXTS
    | st.sampled_from(["good", "Bearer good", "Bearer ", "bad"])
    | AWS_AUTHORIZATION
    | st.builds(
        lambda parts: ".".join(base64.urlsafe_b64encode(p.encode()).decode() for p in parts),
        st.lists(
            st.sampled_from(['{"alg":"none"}', '{"alg":"RS256","kid":"x"}', '{"sub":"me"}', ""])
            | JSON_VALUES.map(json.dumps),
            max_size=4,
        ),
    )
)

CLAIMS = st.sampled_from(
    (
        *("iss", "sub", "aud", "azp", "exp", "nbf", "iat", "auth_time", "jti", "scope"),
        *("token_use", "client_id", "username", "cognito:username", "cognito:groups"),
    )
)

EVENTS = st.lists(
    st.sampled_from(["1", '{"a":1}', '"é"', "", "{", "NaN", "1" * 250_000])
    | JSON_VALUES.map(json.dumps)
    | JSON_VALUES,
    max_size=7,
)

SOUND_BODIES = st.fixed_dictionaries(
    {
        "channel": st.sampled_from(["/default/a", "/code/a", "/direct/a"]),
        "events": st.lists(JSON_VALUES.map(json.dumps), min_size=1, max_size=5),
    }
)
BODIES = SOUND_BODIES | st.fixed_dictionaries(
    {},
    optional={
        "channel": CHANNELS | JSON_VALUES,
        "events": EVENTS | JSON_VALUES,
        "id": TEXTS,
        "extra": JSON_VALUES,
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["connection_init", "subscribe", "unsubscribe", "publish", "ka", "data"]
        )
        | JSON_VALUES,
        "id": st.sampled_from(["1", "2", "a" * 128, "a" * 129, "a b", ""]) | JSON_VALUES,
        "channel": CHANNELS | JSON_VALUES,
        "events": EVENTS | JSON_VALUES,
        "authorization": AUTHORIZATIONS,
        "payload": JSON_VALUES,
    },
)
MESSAGE_TEXTS = (
    (MESSAGES | JSON_VALUES).map(lambda value: json.dumps(value).encode())
    | DEEP.map(str.encode)
    | st.binary(max_size=200)
)

NUMBERS = st.sampled_from([0, 0.5, 1, 3, 1e300, -1]) | JSON_VALUES
FAULTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            (
                *("delay", "drop", "duplicate", "reorder", "malformed", "stall", "disconnect"),
                *("refuse_connects", "throttle_connects", "throttle_publishes", "slow_accept"),
                "expire_credentials",
            )
        )
    },
    optional={
        "from_s": NUMBERS,
        "until_s": NUMBERS,
        "seed": NUMBERS,
        "share": NUMBERS,
        "ratio": NUMBERS,
        "delay_ms": NUMBERS | st.just({"distribution": "uniform", "minimum": 0, "maximum": 1}),
        "deliveries": st.just([[0, 0]]) | JSON_VALUES,
    },
)

HEADER_VALUES = st.text(alphabet=st.characters(max_codepoint=255), max_size=60).map(
    lambda text: text.encode("latin-1")
)


def header(authorization):
    """Encode credentials for the subprotocol, with the standard library alone."""
    text = json.dumps(authorization).encode()
    return "header-" + base64.urlsafe_b64encode(text).decode().rstrip("=")


SUBPROTOCOLS = st.lists(
    st.sampled_from([MARKER, "graphql-ws", "header-", "header-=", header(KEY)]).map(str.encode)
    | AUTHORIZATIONS.map(header).map(str.encode)
    | st.binary(max_size=60).map(lambda raw: b"header-" + base64.urlsafe_b64encode(raw))
    | HEADER_VALUES,
    max_size=4,
).map(b", ".join)

MASK = b"\x01\x02\x03\x04"


def masked(payload):
    """Hide a payload with ``MASK``."""
    return bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))


def frame(payload, *, opcode=1, final=True, reserved=0, mask=True, length=None):
    """Return a client's frame, sound or not: any field can be wrong."""
    claimed = len(payload) if length is None else length
    first = (0x80 if final else 0) | reserved << 4 | opcode
    bit = 0x80 if mask else 0
    if claimed < 126:
        head = struct.pack("!BB", first, bit | claimed)
    elif claimed <= 0xFFFF:
        head = struct.pack("!BBH", first, bit | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, bit | 127, claimed)
    return head + (MASK + masked(payload) if mask else payload)


FRAMES = st.builds(
    frame,
    MESSAGE_TEXTS,
    opcode=st.integers(0, 15),
    final=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 1, 4, 7]),
    mask=st.sampled_from([True, True, True, False]),
    length=st.none() | st.sampled_from([None, 0, 1, 125, 126, 0xFFFF, 2**31, 2**63, 2**64 - 1]),
)


def offer(credentials):
    """Return the subprotocols of a client with these credentials."""
    return f"{MARKER}, {header(credentials)}".encode()


def upgrade_with(credentials):
    """Return a sound upgrade request with these credentials."""
    return upgrade(subprotocols=offer(credentials))


def upgrade(
    *, subprotocols=None, extra=b"", version=b"13", key=b"AAAAAAAAAAAAAAAAAAAAAA==", query=b""
):
    """Return an upgrade request; without arguments it is a sound one with a good key."""
    offered = offer(KEY) if subprotocols is None else subprotocols
    return (
        b"GET /event/realtime" + query + b" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: " + version + b"\r\n"
        b"Sec-WebSocket-Key: " + key + b"\r\n"
        b"Sec-WebSocket-Protocol: " + offered + b"\r\n" + extra + b"\r\n"
    )
