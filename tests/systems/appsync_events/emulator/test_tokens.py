import base64
import json
import stat
import threading
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from harness.core.errors import ScenarioError
from harness.systems.appsync_events.emulator.tokens import (
    KEY_FILE,
    Issuer,
    TokenRefusedError,
    TokenVerifier,
    make_key_pair,
)
from harness.systems.appsync_events.options import Options, TokenIssuer
from harness.systems.appsync_events.wire import WireError

NOW_S = 1_800_000_000
ISSUER = "https://issuer.example"


def base64url(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def json_part(value):
    return base64url(json.dumps(value).encode())


class Stranger:
    """Another issuer of tokens, made of ``cryptography`` alone."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())

    def jwks(self):
        numbers, point = self.rsa.public_key().public_numbers(), self.ec.public_key()
        xy = point.public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "kid": "r",
                    "use": "sig",
                    "n": base64url(numbers.n.to_bytes(256)),
                    "e": base64url(numbers.e.to_bytes(3)),
                },
                {
                    "kty": "EC",
                    "kid": "e",
                    "crv": "P-256",
                    "x": base64url(xy.x.to_bytes(32)),
                    "y": base64url(xy.y.to_bytes(32)),
                },
                {"kty": "unheard-of", "kid": "u"},
            ]
        }

    def token(self, claims, *, alg="RS256", kid="r", **header):
        text = f"{json_part({'alg': alg, 'kid': kid, **header})}.{json_part(claims)}"
        return f"{text}.{base64url(self._sign(alg, text.encode()))}"

    def _sign(self, alg, text):
        sha = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[alg[2:]]
        if alg.startswith("ES"):
            r, s = utils.decode_dss_signature(self.ec.sign(text, ec.ECDSA(sha)))
            return r.to_bytes(32) + s.to_bytes(32)
        if alg.startswith("PS"):
            return self.rsa.sign(text, padding.PSS(padding.MGF1(sha), sha.digest_size), sha)
        return self.rsa.sign(text, padding.PKCS1v15(), sha)


@pytest.fixture(scope="module")
def stranger():
    """One other issuer, because its keys take time to make."""
    return Stranger()


@pytest.fixture
def verifier(stranger, tmp_path, write):
    """Make a verifier of the other issuer's tokens, at ``NOW_S``."""
    file = write("jwks.json", json.dumps(stranger.jwks()))

    def make(mode="oidc", **settings):
        issuer = {"issuer": ISSUER, "jwks_file": str(file), **settings}
        return TokenVerifier(mode, Options.model_validate({mode: issuer}), tmp_path, lambda: NOW_S)

    return make


def claims(**changes):
    """Return good claims; None takes one away."""
    good = {"iss": ISSUER, "sub": "alice", "aud": "app", "iat": NOW_S - 10, "exp": NOW_S + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


# Tokens of another issuer.


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"])
def test_token_that_another_issuer_signed_is_let_in(verifier, stranger, alg):
    """Every algorithm with public keys that the service knows is checked."""
    token = stranger.token(claims(), alg=alg, kid="e" if alg == "ES256" else "r")
    assert claims() == verifier().claims(token)


def refuses(verifier, token):
    with pytest.raises(TokenRefusedError) as caught:
        verifier.claims(token)
    assert all(part not in str(caught.value) for part in token.split(".") if len(part) > 5)
    return str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW_S},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"nbf": NOW_S + 5},
        {"iat": NOW_S + 5},
        {"iss": "https://other.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"sub": None},
        {"sub": 5},
        {"aud": {"app": 1}},
    ],
)
def test_token_with_wrong_claims_is_refused(verifier, stranger, changes):
    """Expired, not yet valid, of another issuer, or without what every token has."""
    refuses(verifier(), stranger.token(claims(**changes)))


def test_signature_of_other_claims_is_refused(verifier, stranger):
    """Nobody can change what a token says."""
    head, _, signature = stranger.token(claims()).split(".")
    refuses(verifier(), f"{head}.{json_part(claims(sub='root'))}.{signature}")


def test_token_signed_with_another_key_is_refused(verifier):
    """The same key id does not help."""
    refuses(verifier(), Stranger().token(claims()))


def test_algorithms_are_pinned(verifier, stranger):
    """No unsigned token, no public key taken for a shared secret, no other kind of key."""
    body = json_part(claims())
    refuses(verifier(), f"{json_part({'alg': 'none'})}.{body}.")
    refuses(verifier(), f"{json_part({'alg': 'none', 'kid': 'r'})}.{body}.")
    refuses(verifier(), f"{json_part({'alg': 'HS256', 'kid': 'r'})}.{body}.{'A' * 43}")
    refuses(verifier(), stranger.token(claims(), alg="ES256", kid="r"))
    refuses(verifier(), stranger.token(claims(), kid="e"))
    refuses(verifier(), stranger.token(claims(), kid="unknown"))


def test_user_pool_takes_no_algorithm_but_rs256(verifier, stranger):
    """Cognito signs with RS256 alone."""
    pool, good = verifier("user_pool"), claims(token_use="id")
    assert good == pool.claims(stranger.token(good))
    refuses(pool, stranger.token(good, alg="RS512"))
    refuses(pool, stranger.token(good, alg="ES256", kid="e"))


@pytest.mark.parametrize("token_use", [None, "refresh"])
def test_user_pool_refuses_a_token_without_its_use(verifier, stranger, token_use):
    """Every token of Cognito says whether it is an id or an access token."""
    refuses(verifier("user_pool"), stranger.token(claims(token_use=token_use)))


@pytest.mark.parametrize(
    ("expected", "pattern", "changes"),
    [
        (True, "app", {}),
        (True, "app|web", {"aud": "web"}),
        (True, "app", {"aud": ["x", "app"]}),
        (True, "app", {"aud": None, "client_id": "app"}),
        (True, "app", {"aud": "other", "azp": "app"}),
        (False, "app", {"aud": "app2"}),
        (False, "app", {"aud": None}),
        (True, "", {"aud": None}),
    ],
)
def test_client_id_must_match_all_of_one_claim(verifier, stranger, expected, pattern, changes):
    """Id tokens name the client in aud, access tokens in client_id, some issuers in azp."""
    token = stranger.token(claims(**changes))
    checked = verifier(client_id=pattern)
    if expected:
        assert "alice" == checked.claims(token)["sub"]
    else:
        assert "another client" in refuses(checked, token)


@pytest.mark.parametrize(("claim", "setting"), [("iat", "iat_ttl_s"), ("auth_time", "auth_ttl_s")])
def test_age_of_a_token_is_limited_where_that_is_set(verifier, stranger, claim, setting):
    """Time since it was issued, or since its user signed in, whatever its exp says."""
    limited = verifier(**{setting: 60.0})
    assert limited.claims(stranger.token(claims(**{claim: NOW_S - 60})))
    for value in (NOW_S - 61, None):
        assert claim in refuses(limited, stranger.token(claims(**{claim: value})))
    if claim == "auth_time":
        for odd in (float("nan"), "now"):
            refuses(limited, stranger.token(claims(auth_time=odd)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "é.é.é",
        "\ud800.a.a",
        f"{json_part([1])}.a.a",
        f"{json_part({'alg': ['RS256']})}.e30.aa",
        f"{json_part({'alg': 'RS256', 'kid': 5})}.e30.aa",
        f"{json_part({'alg': 'RS256', 'crit': ['x']})}.e30.aa",
        f"{base64url(b'[' * 300)}.e30.aa",
        f"{base64url(b'[' * 100_000)}.e30.aa",
    ],
)
def test_text_that_is_no_token_is_refused(verifier, token):
    """Whatever is written there is a refusal, never a failure."""
    refuses(verifier(), token)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"keys": []}', '{"keys": [{}]}'])
def test_unreadable_jwks_file_is_a_scenario_error(tmp_path, text):
    """The key of the scenario file and the file are told."""
    file = tmp_path / "jwks.json"
    if text is not None:
        file.write_text(text)
    options = Options(oidc=TokenIssuer(issuer=ISSUER, jwks_file=str(file)))
    with pytest.raises(ScenarioError) as caught:
        TokenVerifier("oidc", options, tmp_path)
    assert str(caught.value).startswith("[emulator]: oidc.jwks_file must name a file of public")
    assert repr(str(file)) in str(caught.value)


# The emulator's own issuer.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the emulator's key pair."""
    path = tmp_path_factory.mktemp("shared")
    make_key_pair(path)
    return path


def issue(folder, options=None, **request):
    body = json.dumps(request).encode() if request else b""
    return answered(Issuer(options or Options(), folder), body)


def answered(issuer, body=b""):
    answer = issuer.issue(body)
    assert isinstance(answer, bytes)
    return json.loads(answer)


def test_issued_token_is_verified_with_the_published_keys(folder):
    """An independent check of the signature, from the JWKS document alone."""
    issuer = Issuer(Options(), folder)
    answer = answered(issuer)
    head, body, signature = answer["token"].split(".")
    (key,) = json.loads(issuer.jwks())["keys"]
    assert {"alg": "RS256", "kid": key["kid"], "typ": "JWT"} == json.loads(unbase64url(head))
    assert answer["claims"] == json.loads(unbase64url(body))
    n, e = (int.from_bytes(unbase64url(key[name])) for name in "ne")
    public = rsa.RSAPublicNumbers(e, n).public_key()
    arguments = f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
    public.verify(unbase64url(signature), *arguments)
    with pytest.raises(InvalidSignature):
        public.verify(b"\0" * 256, *arguments)


def test_published_keys_hold_no_private_part(folder):
    """Only what verifies a signature is told."""
    (key,) = json.loads(Issuer(Options(), folder).jwks())["keys"]
    assert {"kty", "kid", "use", "alg", "n", "e"} == set(key)


def test_key_pair_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    """Also of several that make it at once, one wins and all agree."""
    makers = [threading.Thread(target=make_key_pair, args=(tmp_path,)) for _ in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    file = tmp_path / KEY_FILE
    made = file.read_bytes()
    make_key_pair(tmp_path)
    assert made == file.read_bytes()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert [file] == list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["user_pool", "oidc"])
def test_issued_token_is_let_in_by_its_own_mode_alone(folder, mode):
    """The two issuers differ, so one's tokens are no good for the other."""
    token = issue(folder, mode=mode)["token"]
    verifiers = {one: TokenVerifier(one, Options(), folder) for one in ("user_pool", "oidc")}
    assert "local-user" == verifiers.pop(mode).claims(token)["sub"]
    refuses(verifiers.popitem()[1], token)


def test_issued_access_token_has_what_cognito_puts_there(folder):
    """The documented claims of an access token of a user pool."""
    answer = issue(folder, subject="alice", groups=["admins"], client_id="web", lifetime_s=60)
    found = answer["claims"]
    now_s = time.time()
    assert abs(now_s - found.pop("iat")) < 60
    assert abs(now_s - found.pop("auth_time")) < 60
    assert abs(now_s + 60 - found.pop("exp")) < 60
    assert found.pop("jti")
    assert {
        "sub": "alice",
        "iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_local",
        "client_id": "web",
        "cognito:groups": ["admins"],
        "token_use": "access",
        "username": "alice",
        "scope": "aws.cognito.signin.user.admin",
    } == found


def test_issued_id_token_names_its_client_as_audience(folder):
    """An id token has aud and cognito:username in place of client_id and username."""
    found = issue(folder, token_use="id", subject="alice", client_id="web")["claims"]
    assert ("web", "alice", "id") == tuple(
        found[name] for name in ("aud", "cognito:username", "token_use")
    )
    assert {"client_id", "username", "cognito:groups"}.isdisjoint(found)


def test_issued_token_fits_the_client_id_that_is_set(folder):
    """Without a client named, the one that the options want is taken."""
    options = Options(user_pool=TokenIssuer(client_id="the-app", issuer=ISSUER))
    answer = issue(folder, options)
    verifier = TokenVerifier("user_pool", options, folder)
    assert (ISSUER, "the-app") == tuple(
        verifier.claims(answer["token"])[name] for name in ("iss", "client_id")
    )


def test_claims_of_the_request_replace_any_other(folder):
    """So that a test can have a token with anything wrong in it."""
    answer = issue(folder, claims={"exp": 5, "custom": {"a": [1]}, "token_use": "refresh"})
    assert (5, {"a": [1]}) == (answer["claims"]["exp"], answer["claims"]["custom"])
    refuses(TokenVerifier("user_pool", Options(), folder), answer["token"])


def test_expired_token_is_issued_with_a_negative_lifetime(folder):
    """To see what a client does with it."""
    token = issue(folder, lifetime_s=-5)["token"]
    assert "expired" in refuses(TokenVerifier("user_pool", Options(), folder), token)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"[]", "object"),
        (b'{"mod": "oidc"}', "mod: "),
        (b'{"mode": "saml"}', "mode: "),
        (b'{"subject": "", "lifetime_s": "long"}', "subject: "),
        (b"[" * 100_000, "recursion"),
        (b"\xff", "Invalid JSON"),
    ],
)
def test_bad_request_for_a_token_is_told_what_is_wrong(folder, body, said):
    """Each wrong key is named."""
    refused = Issuer(Options(), folder).issue(body)
    assert isinstance(refused, WireError)
    assert "BadRequestException" == refused.error_type
    assert said in refused.message
